"""trampoline, notify_close and notify_opened, on every poller."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest
from tests.support.hubs.green import hub as hub
from tests.support.times import PATIENCE

from greenserve_hub.errors import ConcurrentUseError, HubError, IOClosed
from greenserve_hub.greenio.hubs import notify_close, notify_opened, trampoline
from greenserve_hub.greenio.sockets import GreenSocket, socketpair
from greenserve_hub.greenthreads.greenthreads import sleep, spawn
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.testing import wait_all_blocked

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def green_pair(hub) -> Iterator[tuple[GreenSocket, GreenSocket]]:
    ends = socketpair()
    yield ends
    for end in ends:
        end.close()


def fill(sock: socket.socket) -> None:
    """Until there is no more room."""
    with contextlib.suppress(BlockingIOError):
        while socket.socket.send(sock, bytes(65536)):
            pass


def drain(sock: socket.socket) -> None:
    """Until there is nothing more to read."""
    with contextlib.suppress(BlockingIOError):
        while sock.recv(1 << 20):
            pass


def test_waits_until_there_is_something_to_read(hub, pair):
    waiting = spawn(trampoline, pair[0], read=True)
    wait_all_blocked()
    assert not waiting.dead
    pair[1].send(b"x")
    waiting.wait()
    assert not hub.descriptors


def test_what_is_there_already_ends_the_wait_in_a_turn_or_two(pair):
    pair[1].send(b"x")
    others = []
    spawn(others.append, "ran")
    trampoline(pair[0].fileno(), read=True, timeout=PATIENCE)
    assert others == ["ran"]
    trampoline(pair[0].fileno(), read=True, timeout=PATIENCE)  # it is still there


def test_waits_until_there_is_room_to_write(pair):
    trampoline(pair[0], write=True)
    fill(pair[0])
    waiting = spawn(trampoline, pair[0], write=True)
    wait_all_blocked()
    assert not waiting.dead
    drain(pair[1])
    waiting.wait()


def test_both_sides_by_two_green_threads(hub, pair):
    fill(pair[0])
    reading = spawn(trampoline, pair[0], read=True)
    wait_all_blocked()
    drain(pair[1])
    trampoline(pair[0], write=True, timeout=PATIENCE)  # the room was told when nobody asked for it
    assert not reading.dead
    pair[1].send(b"x")
    reading.wait()
    assert not hub.descriptors


@pytest.mark.parametrize("sides", [{}, {"read": True, "write": True}])
def test_it_is_one_side(pair, sides):
    with pytest.raises(HubError, match="either to read or to write"):
        trampoline(pair[0], **sides)


@pytest.mark.parametrize("exception", [Timeout, ValueError, ValueError("late")])
def test_after_the_timeout_it_raises_what_it_was_given(hub, pair, exception):
    with pytest.raises(exception if isinstance(exception, type) else type(exception)):
        trampoline(pair[0], read=True, timeout=0.001, timeout_exc=exception)
    assert not hub.descriptors


def test_without_another_a_timeout_is_a_timeout(pair):
    with pytest.raises(Timeout):
        trampoline(pair[0], read=True, timeout=0.001)


def test_a_second_reader_is_told_of_the_first(pair):
    first = spawn(trampoline, pair[0], read=True)
    wait_all_blocked()
    with pytest.raises(ConcurrentUseError, match="GreenThread"):
        trampoline(pair[0], read=True)
    assert not first.dead
    pair[1].send(b"x")
    first.wait()


@pytest.mark.parametrize("notify", [notify_close, notify_opened])
def test_who_waits_for_a_closed_descriptor_is_woken_at_once(hub, pair, notify):
    marked = []
    waiting = spawn(trampoline, pair[0], read=True, mark_as_closed=lambda: marked.append(True))
    wait_all_blocked()
    notify(pair[0].fileno())
    pair[0].close()
    with pytest.raises(IOClosed, match="was closed while it was waited on"):
        waiting.wait()
    assert marked == [True]
    assert not hub.descriptors


def test_closing_what_nobody_waits_for_is_no_error(pair):
    notify_close(pair[0].fileno())
    notify_close(99999)


def test_a_number_used_again_is_somebody_elses(hub, pair, errors):
    old = spawn(trampoline, pair[0], read=True)
    wait_all_blocked()
    fd = pair[0].fileno()
    ends = socket.socketpair()
    notify_close(fd)
    os.dup2(ends[0].fileno(), fd)
    new = spawn(trampoline, fd, read=True)
    wait_all_blocked()
    assert [type(error) for error in errors] == [IOClosed]  # nobody had waited for the old one's end
    errors.clear()
    assert old.dead
    assert not new.dead
    ends[1].send(b"x")
    new.wait()
    for end in ends:
        end.close()


def test_a_green_socket_shares_its_descriptor(hub, green_pair):
    mine, other = green_pair
    fill(mine)
    reading = spawn(trampoline, mine, read=True)
    writing = spawn(mine.sendall, b"more")
    wait_all_blocked()
    with pytest.raises(ConcurrentUseError):
        mine.recv(1)
    other.send(b"x")
    reading.wait()
    trampoline(mine, read=True, timeout=PATIENCE)  # whose edge has been told
    trampoline(mine.fileno(), read=True, timeout=PATIENCE)
    assert mine.recv(9) == b"x"
    while not writing.dead:
        other.recv(1 << 20)
        sleep()


def test_closing_a_green_socket_wakes_who_waits_for_it(green_pair):
    mine, _ = green_pair
    waiting = spawn(trampoline, mine, read=True)
    wait_all_blocked()
    mine.close()
    with pytest.raises(IOClosed):
        waiting.wait()


def test_a_callback_of_the_hub_cannot_wait(hub, pair, errors):
    hub.call_soon(trampoline, pair[0], True)
    sleep()
    sleep()
    assert "would wait inside the hub" in str(errors.pop())
    assert not hub.descriptors
