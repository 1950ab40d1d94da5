"""eventlet.asyncio: coroutines and green threads that wait for each other, on the asyncio hub."""

from greenserve_eventlet.hubs.asyncio import Hub as AsyncioHub
from greenserve_hub import spawn_for_awaitable

__all__ = ["AsyncioHub", "spawn_for_awaitable"]
