"""Bounded caches: dicts of results for texts that clients and apps send again and again.

Imports nothing of the server, so that every sans-IO core may use it. A hit reads the dict and calls no function. A full
cache is emptied, not searched for its oldest entry: a client that fills it on purpose costs time, but no memory.
"""

from __future__ import annotations

from typing import Final, TypeVar

SIZE: Final = 1024  # entries; a server sees a few dozen

Key = TypeVar("Key")
Value = TypeVar("Value")


def remember(cache: dict[Key, Value], key: Key, value: Value) -> Value:
    """Put `value` into `cache`, which is emptied first if it is full. Return `value`."""
    if len(cache) >= SIZE:
        cache.clear()
    cache[key] = value
    return value
