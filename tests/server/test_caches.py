"""caches: what is remembered, and how much of it."""

from __future__ import annotations

from greenserve import caches


def test_it_gives_back_what_it_keeps() -> None:
    cache: dict[str, int] = {}
    assert caches.remember(cache, "a", 1) == 1
    assert cache == {"a": 1}


def test_a_full_one_begins_anew() -> None:
    cache: dict[int, None] = {}
    for number in range(caches.SIZE):
        caches.remember(cache, number, None)
    assert len(cache) == caches.SIZE
    caches.remember(cache, -1, None)
    assert cache == {-1: None}
