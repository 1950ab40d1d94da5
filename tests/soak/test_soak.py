"""The soak's work in small: nothing is left of it. `make soak` does it whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.soak.growth import Memory, growth
from tests.soak.works import arm_and_cancel, connect_and_close, spawn_and_finish
from tests.support.servers.running import own_hub

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")

_kept: list[object] = []


def _is_little(left: Memory, most: int) -> bool:
    return left.objects <= most and left.blocks <= 2 * most


def _leaky(count: int) -> None:
    _kept.extend([number] for number in range(count // 50))


@pytest.mark.parametrize(
    ("work", "count"),
    [(spawn_and_finish, 20_000), (arm_and_cancel, 10_000), (connect_and_close, 500)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_nothing_is_left(work: Callable[[int], None], count: int) -> None:
    most = 100 + count // 200
    # What tests before this one have left running, or in a cache, may come to its end or be replaced meanwhile: once.
    with own_hub():
        assert any(_is_little(growth(work, count), most) for _ in range(3)), "it grew three times"


def test_a_leak_would_be_seen() -> None:
    left = growth(_leaky, 20_000)
    _kept.clear()
    assert left.objects > 200
