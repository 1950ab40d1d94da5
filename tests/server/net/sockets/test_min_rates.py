"""min_rates: how long a client may keep a request waiting, in seconds of credit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.net.sockets.min_rates import Pace
from greenserve_hub.deadlines import NEVER

pytestmark = pytest.mark.no_hub

_MOVES = st.lists(st.tuples(st.floats(0, 20), st.integers(0, 50_000)), max_size=30)


def test_the_first_wait_may_last_the_grace() -> None:
    assert Pace(30, 1 / 500, 10).left == 10
    assert Pace(5, 1 / 500, 10).left == 5  # but no longer than any


def test_waiting_takes_and_bytes_give() -> None:
    pace = Pace(30, 1 / 500, 10)
    pace.begin(100)
    pace.end(104)
    assert pace.left == 6
    pace.earn(1000)
    assert pace.left == 8
    pace.earn(0)
    assert pace.left == 8
    assert not pace.is_over


def test_nothing_is_earned_beyond_the_timeout() -> None:
    pace = Pace(30, 1 / 500, 10)
    pace.earn(1 << 30)
    assert pace.left == 30
    pace.begin(0)
    pace.end(30)
    assert pace.is_over


def test_what_the_client_takes_while_it_is_waited_for_counts() -> None:
    pace = Pace(30, 1 / 500, 10)
    pace.begin(0, 100_000)
    pace.end(9, 97_500)
    assert pace.left == 6


def test_only_waiting_counts() -> None:
    pace = Pace(30, 1 / 500, 10)
    pace.begin(0)
    pace.end(1)
    pace.end(1000)  # the app's time
    assert pace.left == 9


def test_a_clock_that_stands_behind_the_waits_beginning_takes_nothing() -> None:
    pace = Pace(30, 1 / 500, 10)
    pace.begin(10.2)
    pace.end(10.1)
    assert pace.left == 10


def test_without_a_rate_any_byte_gives_the_whole_timeout() -> None:
    pace = Pace(30, NEVER, 10)
    assert pace.left == 30
    pace.begin(0)
    pace.end(29)
    assert pace.left == pytest.approx(1)
    pace.earn(1)
    assert pace.left == 30


def test_without_a_timeout_only_the_average_holds() -> None:
    pace = Pace(NEVER, 1 / 500, 10)
    assert pace.left == 10
    pace.earn(500_000)
    assert pace.left == 1010
    assert Pace(NEVER, NEVER, NEVER).left == NEVER


@given(_MOVES)
def test_a_client_is_over_only_if_it_was_slow(moves: list[tuple[float, int]]) -> None:
    """Over any stretch, whoever keeps the rate, and never pauses longer than the grace, is not over."""
    pace = Pace(30, 1 / 500, 10)
    now = 0.0
    for seconds, size in moves:
        seconds = min(seconds, 9, 9 * size / 4500)
        pace.begin(now)
        now += seconds
        pace.end(now)
        pace.earn(size)
        assert not pace.is_over


@given(_MOVES)
def test_and_no_credit_is_beyond_what_was_given(moves: list[tuple[float, int]]) -> None:
    """All waiting together is no longer than the grace and what the bytes may take."""
    pace = Pace(30, 1 / 500, 10)
    waited = sent = 0.0
    now = 0.0
    for seconds, size in moves:
        seconds = min(seconds, max(0.0, pace.left))
        pace.begin(now)
        now += seconds
        pace.end(now)
        pace.earn(size)
        waited += seconds
        sent += size
        assert waited <= 10 + sent / 500 + 1e-6
        assert pace.left <= 30
