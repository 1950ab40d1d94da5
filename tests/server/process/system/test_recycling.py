"""recycling: when a worker has lived long enough."""

from __future__ import annotations

import pytest

from greenserve import Config
from greenserve.process.system.recycling import Recycling


def _recycling(draw: float, born: float = 100.0, **settings: float) -> Recycling:
    return Recycling(Config.from_settings(**settings), born, lambda: draw)


def _never() -> int:
    raise AssertionError("memory was asked for")


def test_without_limits_a_worker_lives_for_ever():
    assert _recycling(0.5).reached(1e9, 10**9, _never) == ""


@pytest.mark.parametrize(("draw", "limit"), [(0.0, 100), (0.5, 95), (1.0, 90)])
def test_requests(draw, limit):
    recycling = _recycling(draw, max_requests=100)
    assert recycling.reached(100, limit - 1, _never) == ""
    assert recycling.reached(100, limit, _never) == f"it has served {limit} requests (max_requests)"


@pytest.mark.parametrize(("draw", "limit"), [(0.0, 160.0), (1.0, 154.0)])
def test_lifetime_counts_from_the_birth(draw, limit):
    recycling = _recycling(draw, max_lifetime=60)
    assert recycling.reached(limit - 0.01, 0, _never) == ""
    assert "max_lifetime" in recycling.reached(limit, 0, _never)


def test_memory():
    recycling = _recycling(0.0, max_rss="100M")
    assert recycling.reached(110, 0, lambda: (100 << 20) - 1) == ""
    assert recycling.reached(110, 0, lambda: 101 << 20) == "it uses 101 MiB of memory (max_rss)"


def test_a_limit_below_what_the_app_needs_from_its_start_makes_no_loop():
    recycling = _recycling(0.0, max_rss="1M")
    assert recycling.reached(109.9, 0, _never) == ""
    assert recycling.reached(110, 0, lambda: 2 << 20)


def test_without_jitter_the_limits_are_exact():
    recycling = _recycling(1.0, max_requests=100, max_jitter=0)
    assert recycling.reached(0, 99, _never) == ""
    assert recycling.reached(0, 100, _never)


def test_workers_get_different_limits():
    config = Config.from_settings(max_requests=1_000_000)
    first = [Recycling(config, 0)._requests for _ in range(5)]
    assert len(set(first)) > 1
    assert all(900_000 <= one <= 1_000_000 for one in first)
