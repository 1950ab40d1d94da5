"""Pollers: ask the kernel what is ready, on each platform."""
