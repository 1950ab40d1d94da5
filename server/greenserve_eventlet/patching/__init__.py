"""Monkey patching and asyncio under eventlet's names."""
