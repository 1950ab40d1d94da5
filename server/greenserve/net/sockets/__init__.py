"""Sockets in non-blocking mode. Nothing here knows HTTP."""
