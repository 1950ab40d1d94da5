"""The contract of pollers, over every one that this machine has."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator

import pytest

from greenserve_hub.pollers.choosing import available_pollers, make_poller
from greenserve_hub.pollers.contract import HANGUP, READ, WRITE, Poller


@pytest.fixture(params=available_pollers())
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    made = make_poller(request.param)
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def told(poller: Poller, fd: int, seconds: float = 0) -> int:
    bits = 0
    for found, what in poller.poll(seconds):
        assert found == fd
        bits |= what
    return bits


def test_has_its_name_and_kind(poller):
    assert poller.name in available_pollers()
    assert poller.edge is (poller.name not in ("poll", "select"))


def test_nothing_registered_nothing_told(poller):
    assert list(poller.poll(0)) == []
    began = time.monotonic()
    assert list(poller.poll(0.02)) == []
    assert time.monotonic() - began >= 0.019


def test_a_wait_that_ended_early_does_not_shorten_the_next(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    poller.arm(fd, WRITE)
    assert told(poller, fd, 0.02) & WRITE
    began = time.monotonic()
    assert list(poller.poll(0.04)) == []
    assert time.monotonic() - began >= 0.039


def test_tells_of_room_to_write(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    poller.arm(fd, WRITE)
    assert told(poller, fd, 1) & WRITE


def test_tells_of_data_and_only_once(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    poller.arm(fd, READ)
    told(poller, fd)  # an edge poller tells of the room to write, which this test does not ask for
    pair[1].send(b"x")
    assert told(poller, fd, 1) & READ
    assert not told(poller, fd, 0) & READ


def test_tells_again_of_more_data(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    for _ in range(3):
        poller.arm(fd, READ)
        told(poller, fd)
        pair[1].send(b"x")
        assert told(poller, fd, 1) & READ
        assert pair[0].recv(10) == b"x"


def test_tells_of_data_that_was_there_before(poller, pair):
    fd = pair[0].fileno()
    pair[1].send(b"x")
    poller.register(fd)
    poller.arm(fd, READ)
    assert told(poller, fd, 1) & READ


def test_a_side_nobody_armed_keeps_no_level_poller_awake(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    pair[1].send(b"x")
    told(poller, fd)  # the edges of an edge poller
    began = time.monotonic()
    assert told(poller, fd, 0.02) == 0
    assert time.monotonic() - began >= 0.019


def test_both_sides_can_be_armed_one_after_the_other(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    poller.arm(fd, READ)
    poller.arm(fd, WRITE)
    assert told(poller, fd, 1) & WRITE
    pair[1].send(b"x")
    assert told(poller, fd, 1) & READ


def test_the_end_of_the_peer_is_readable_and_with_most_a_hangup(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    poller.arm(fd, READ)
    told(poller, fd)
    pair[1].close()
    bits = told(poller, fd, 1)
    assert bits & READ
    if poller.name != "select":  # which has no word for it
        assert bits & HANGUP


def test_the_end_of_the_peers_sending_side_is_readable(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    poller.arm(fd, READ)
    told(poller, fd)
    pair[1].shutdown(socket.SHUT_WR)
    assert told(poller, fd, 1) & READ


def test_hangup_is_told_to_a_writer(poller, pair):
    fd = pair[0].fileno()
    with contextlib.suppress(BlockingIOError):
        while True:
            pair[0].send(b"x" * 65536)
    poller.register(fd)
    poller.arm(fd, WRITE)
    assert not told(poller, fd) & WRITE
    pair[1].close()
    assert told(poller, fd, 1) & (WRITE | HANGUP)


def test_silent_after_unregister(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    poller.arm(fd, READ | WRITE)
    poller.unregister(fd)
    pair[1].send(b"x")
    assert list(poller.poll(0)) == []


def test_unregistering_what_was_closed_or_never_registered_is_no_error(poller, pair):
    fd = pair[0].fileno()
    poller.unregister(fd)
    poller.register(fd)
    pair[0].close()
    poller.unregister(fd)
    assert list(poller.poll(0)) == []


def test_a_number_that_is_used_again_begins_anew(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    poller.arm(fd, READ)
    poller.unregister(fd)
    ends = socket.socketpair()
    os.dup2(ends[0].fileno(), fd)  # closes what was there
    poller.register(fd)
    poller.arm(fd, READ)
    told(poller, fd)
    ends[1].send(b"x")
    assert told(poller, fd, 1) & READ
    poller.unregister(fd)
    for end in ends:
        end.close()


def test_many_at_once(poller):
    pairs = [socket.socketpair() for _ in range(50)]
    try:
        for mine, other in pairs:
            poller.register(mine.fileno())
            poller.arm(mine.fileno(), READ)
            other.send(b"x")
        found = {fd for fd, bits in poller.poll(1) if bits & READ}
        assert found == {mine.fileno() for mine, _ in pairs}
    finally:
        for ends in pairs:
            for end in ends:
                end.close()


# A number that was closed behind the poller's back -------------------------------------------------------


def test_unregistering_tells_whether_the_number_was_still_the_one(poller, pair):
    fd = pair[0].fileno()
    poller.register(fd)
    assert poller.unregister(fd)
    poller.register(fd)
    pair[0].close()
    assert poller.unregister(fd) is not poller.edge  # poll and select cannot tell


@pytest.mark.parametrize("kind", ["file", "pipe", "socket"])
def test_a_number_that_belongs_to_something_else_by_now_can_be_unregistered(kind, poller, pair, tmp_path):
    fd = pair[0].fileno()
    poller.register(fd)
    poller.arm(fd, READ)
    other, *rest = _opened(kind, tmp_path)
    os.dup2(other, fd)  # closes what was there
    assert poller.unregister(fd) is not poller.edge
    assert list(poller.poll(0)) == []
    for one in (other, *rest):
        os.close(one)


def _opened(kind, folder):
    if kind == "file":
        return (os.open(folder / "file", os.O_CREAT | os.O_RDWR),)  # epoll refuses those with EPERM
    if kind == "pipe":
        return os.pipe()
    return tuple(end.detach() for end in socket.socketpair())
