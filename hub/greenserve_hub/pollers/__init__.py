"""Pollers: what the kernel says is ready, on each platform."""
