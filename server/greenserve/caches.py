"""Bounded caches: dicts that remember what was worked out for what clients and apps send again and again.

Imports nothing, so that every sans-IO core may use it. A hit reads the dict and calls nothing. A full cache is emptied
and not searched for its oldest entry: whoever fills it on purpose costs others the work once more, and no memory.
"""

from __future__ import annotations

from typing import Final, TypeVar

SIZE: Final = 1024  # entries; a server sees a few dozen

Key = TypeVar("Key")
Value = TypeVar("Value")


def remember(cache: dict[Key, Value], key: Key, value: Value) -> Value:
    """Put `value` into `cache`, which is emptied first if it is full, and return it."""
    if len(cache) >= SIZE:
        cache.clear()
    cache[key] = value
    return value
