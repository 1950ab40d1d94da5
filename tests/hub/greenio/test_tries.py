"""sockets: reads of a socket that the last read has emptied, where the answer is often there already."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.hubs.green import Pair, tcp_pair
from tests.support.hubs.green import hub as hub

from greenserve_hub.greenthreads.greenthreads import sleep, spawn
from greenserve_hub.testing import wait_all_blocked
from greenserve_hub.unpatched import select


@pytest.fixture
def tcp() -> Iterator[Pair]:
    """The second one has waited once: until then a socket knows nothing of what is there."""
    with tcp_pair() as pair:
        _answer_late(pair)
        yield pair
        sleep(0)


def _answer_late(tcp: Pair) -> None:
    one, other = tcp
    reading = spawn(other.recv, 10)
    wait_all_blocked()
    one.send(b"x")
    assert reading.wait() == b"x"


def _answer(tcp: Pair) -> bool:
    """Send, and read when it has come. Return True if others have run before it was read."""
    one, other = tcp
    one.send(b"x")
    assert select.select([other.fileno()], [], [], 10)[0]
    ran: list[int] = []
    spawn(ran.append, 1)
    assert other.recv(10) == b"x"
    return bool(ran)


def test_what_is_there_needs_no_turn(tcp: Pair) -> None:
    assert not any(_answer(tcp) for _ in range(5))


def test_others_run_in_between(tcp: Pair) -> None:
    assert 1 <= sum(_answer(tcp) for _ in range(40)) < 5


def test_where_answers_come_late_few_reads_are_tried(tcp: Pair) -> None:
    for _ in range(10):
        _answer_late(tcp)
    turns = [_answer(tcp) for _ in range(80)]
    assert 5 < sum(turns) < 60  # the read that is tried finds something, and so the next ones are
