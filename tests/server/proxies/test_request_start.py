"""request_start: the times that proxies write, and clocks that are wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.proxies import RequestStarts, Trust
from greenserve.proxies.request_start import parse_request_start

NOW = 1_700_000_000.0
REMOTE = "10.0.0.1"


def _starts(limit: float = 10.0) -> RequestStarts:
    return RequestStarts(Trust(["127.0.0.1", "unix", "10.0.0.0/8"]), limit)


def _waited(starts: RequestStarts, at: float, *, peer: str = "127.0.0.1", now: float = NOW) -> float:
    return starts.waited([("Host", "x"), ("X-Request-Start", f"t={at:.3f}")], peer, now)


class TestTime:
    @pytest.mark.parametrize(
        "text",
        [
            "t=1700000000.123",  # nginx: t=${msec}
            "1700000000.123",
            "t=1700000000123",  # Heroku, HAProxy: milliseconds
            "1700000000123",
            "t=1700000000123000",  # Apache: t=%t
            " t=1700000000.123 ",
            "t=1700000000.123, t=1700000009.000",  # two proxies
        ],
    )
    def test_each_unit(self, text: str) -> None:
        assert parse_request_start(text) == pytest.approx(1_700_000_000.123)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "t=", "now", "-1700000000", "t=1e9", "nan", "inf", "0x6553f100", "1700000000x"),
            *("17000", "9" * 400, "\uff11\uff17" + "\uff10" * 8, "1700000000.", "1700000000 s"),
            *("t=t=1700000000", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ],
    )
    def test_nonsense(self, text: str) -> None:
        assert parse_request_start(text) is None

    @given(st.text())
    def test_nothing_is_an_error(self, text: str) -> None:
        assert _starts().waited([("X-Request-Start", text)], "127.0.0.1", NOW) >= 0


class TestWait:
    @pytest.mark.parametrize("peer", ["127.0.0.1", ""])
    def test_a_proxy_on_this_machine_has_our_clock(self, peer: str) -> None:
        assert _waited(_starts(), NOW - 20, peer=peer) == 20

    @pytest.mark.parametrize("name", ["X-Request-Start", "x-queue-start"])
    def test_either_name(self, name: str) -> None:
        assert _starts().waited([(name, f"t={NOW - 5}")], "127.0.0.1", NOW) == 5

    def test_no_field(self) -> None:
        assert _starts().waited([("Host", "x")], "127.0.0.1", NOW) == 0

    def test_a_stranger_is_not_believed(self) -> None:
        assert _waited(_starts(), NOW - 20, peer="192.0.2.1") == 0

    def test_the_future_and_another_age_are_no_wait(self) -> None:
        assert _waited(_starts(), NOW + 5) == 0
        assert _waited(_starts(), NOW - 3601) == 0


class TestClocks:
    def test_the_shortest_delay_is_the_difference(self) -> None:
        starts = _starts()
        assert _waited(starts, NOW - 100, peer=REMOTE) == 0
        assert _waited(starts, NOW - 112, peer=REMOTE) == 12
        assert _waited(starts, NOW - 90, peer=REMOTE) == 0
        assert _waited(starts, NOW - 112, peer=REMOTE) == 22
        assert _waited(starts, NOW + 50, peer=REMOTE) == 0  # its clock is ahead
        assert _waited(starts, NOW + 45, peer=REMOTE) == 5

    def test_each_proxy_has_its_own(self) -> None:
        starts = _starts()
        _waited(starts, NOW, peer="10.0.0.2")
        assert _waited(starts, NOW - 100, peer=REMOTE) == 0

    def test_a_clock_that_was_set_costs_half_a_minute(self) -> None:
        starts = _starts()
        _waited(starts, NOW, peer=REMOTE)
        waits = [
            _waited(starts, NOW + second - 60 - second % 3, peer=REMOTE, now=NOW + second)
            for second in range(40)
        ]
        assert waits[:30] == [60 + second % 3 for second in range(30)]
        assert waits[30:] == [second % 3 for second in range(30, 40)]

    def test_a_full_queue_is_no_wrong_clock(self) -> None:
        starts = _starts()
        _waited(starts, NOW, peer=REMOTE)
        for second in range(200):  # now and then one is in time
            wait = 5 if second % 20 == 0 else 15
            assert _waited(starts, NOW + second - wait, peer=REMOTE, now=NOW + second) == wait
