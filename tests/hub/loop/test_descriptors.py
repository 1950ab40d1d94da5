from __future__ import annotations

import contextlib
import os
import socket

import pytest

from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.current import get_hub
from greenserve_hub.pollers.contract import HANGUP, READ, WRITE
from greenserve_hub.testing import wait_all_blocked


@pytest.fixture
def pair():
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def test_closing_wakes_who_waits_and_tells_it_so(pair):
    hub, woken = get_hub(), []
    descriptor = hub.open_descriptor(pair[0].fileno())
    wait_all_blocked()
    descriptor.on_readable(lambda: woken.append(("reader", descriptor.closed)))
    descriptor.on_writable(lambda: woken.append(("writer", descriptor.closed)))
    descriptor.close()
    descriptor.close()
    assert woken == [("reader", True), ("writer", True)]
    assert hub.descriptors == {}


def test_a_number_that_the_kernel_gives_out_again_never_meets_an_old_waiter(pair):
    hub, woken = get_hub(), []
    fd = pair[0].fileno()
    old = hub.open_descriptor(fd)
    wait_all_blocked()
    old.on_readable(lambda: woken.append(("old", old.closed)))
    others = socket.socketpair()
    os.dup2(others[0].fileno(), fd)  # closed behind the hub's back, and the number is somebody else's now
    new = hub.open_descriptor(fd)
    assert woken == [("old", True)]
    assert old.closed
    assert hub.descriptors == {fd: new}
    wait_all_blocked()
    new.on_readable(lambda: woken.append(("new", new.closed)))
    others[1].send(b"x")
    sleep()
    assert woken == [("old", True), ("new", False)]
    old.close()  # late, and no business of the new one
    assert hub.descriptors == {fd: new}
    new.close()
    for end in others:
        end.close()


def test_an_edge_that_nobody_waited_for_is_remembered(pair):
    hub = get_hub()
    descriptor = hub.open_descriptor(pair[0].fileno())
    wait_all_blocked()
    assert descriptor.readable  # try first: nothing has proved otherwise
    descriptor.drained(descriptor.readable)
    assert not descriptor.readable
    if not hub.edge:
        descriptor.on_readable(lambda: None)
    pair[1].send(b"x")
    wait_all_blocked()
    assert descriptor.readable
    descriptor.close()


def test_what_waits_until_it_is_readable_is_called_in_the_next_turn_where_it_may_be(pair):
    descriptor, told = get_hub().open_descriptor(pair[0].fileno()), []
    wait_all_blocked()
    descriptor.when_readable(lambda: told.append("at once"))
    assert told == []
    sleep()
    assert told == ["at once"]
    descriptor.drained(descriptor.readable)
    descriptor.when_readable(lambda: told.append("when it came"))
    wait_all_blocked()
    assert told == ["at once"]
    pair[1].send(b"x")
    wait_all_blocked()
    assert told == ["at once", "when it came"]
    descriptor.close()


def test_waiting_to_read_can_be_taken_back(pair):
    descriptor, told = get_hub().open_descriptor(pair[0].fileno()), []
    wait_all_blocked()
    assert descriptor.stop_waiting_to_read() is None
    descriptor.on_readable(told.clear)
    assert descriptor.stop_waiting_to_read() == told.clear
    told.append("not cleared")
    pair[1].send(b"x")
    wait_all_blocked()
    assert told == ["not cleared"]
    descriptor.close()


def test_a_guarded_socket_is_detached_when_its_number_is_anothers(pair):
    hub = get_hub()
    for guarded in (True, False):
        with socket.socket() as sock:
            old = hub.open_descriptor(sock.fileno())
            old.guard_socket(sock)
            if not guarded:
                assert old.unguard_socket() is sock
                assert old.unguard_socket() is None
            os.dup2(pair[0].fileno(), old.fd)
            hub.open_descriptor(old.fd).close()
            assert sock.fileno() == (-1 if guarded else old.fd)
        if guarded:
            os.close(old.fd)


def test_after_a_hangup_it_is_readable_for_ever(pair):
    hub, woken = get_hub(), []
    descriptor = hub.open_descriptor(pair[0].fileno())
    wait_all_blocked()
    descriptor.drained(descriptor.readable)
    descriptor.on_readable(lambda: woken.append("reader"))
    descriptor.on_writable(lambda: woken.append("writer"))
    pair[1].close()
    wait_all_blocked()
    assert "reader" in woken
    assert "writer" in woken
    if hub.poller.name != "select":
        assert descriptor.hangup
        descriptor.drained(descriptor.readable)
    assert descriptor.readable
    descriptor.close()


def test_a_hangup_without_data_wakes_a_reader():
    # A pipe whose writer has gone is EPOLLHUP and nothing else; a socket is readable as well.
    hub, woken = get_hub(), []
    reading, writing = os.pipe()
    descriptor = hub.open_descriptor(reading)
    wait_all_blocked()
    descriptor.on_readable(lambda: woken.append(os.read(reading, 1)))
    os.close(writing)
    wait_all_blocked()
    assert woken == [b""]
    descriptor.close()
    os.close(reading)


def test_one_that_is_closed_by_another_callback_of_the_same_poll_is_not_called():
    hub, told = get_hub(), []
    pairs = [socket.socketpair() for _ in range(2)]
    descriptors = [hub.open_descriptor(mine.fileno()) for mine, _ in pairs]
    wait_all_blocked()
    for descriptor, other in zip(descriptors, reversed(descriptors), strict=True):

        def readable(descriptor=descriptor, other=other):
            told.append(descriptor.closed)
            other.close()

        descriptor.on_readable(readable)
    for _, other in pairs:
        other.send(b"x")
    sleep()
    assert sorted(told) == [False, True]  # one was ready, the other was told that it had been closed
    for ends in pairs:
        for end in ends:
            end.close()
    for descriptor in descriptors:
        descriptor.close()


# Numbers that are used again -------------------------------------------------------------------------------


def test_a_socket_whose_number_is_somebody_elses_can_reach_nobody_any_more(pair):
    hub = get_hub()
    old = hub.open_descriptor(pair[0].fileno(), pair[0])
    fd = pair[0].fileno()
    others = socket.socketpair()
    os.dup2(others[0].fileno(), fd)
    new = hub.open_descriptor(fd)
    assert old.closed
    assert pair[0].fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        pair[0].send(b"for somebody else")
    assert new.close()
    os.close(fd)
    for end in others:
        end.close()


def test_closing_tells_whether_the_number_was_still_the_one(pair):
    hub = get_hub()
    descriptor = hub.open_descriptor(pair[0].fileno())
    assert descriptor.close()
    assert descriptor.close()  # a second time nothing is known, and nothing is wrong
    descriptor = hub.open_descriptor(pair[0].fileno())
    os.close(pair[0].detach())
    assert descriptor.close() is not hub.edge
    assert hub.descriptors == {}


@pytest.mark.parametrize("bits", [READ, WRITE, HANGUP, READ | WRITE | HANGUP])
def test_what_a_poll_told_of_one_is_not_handed_to_the_next_of_that_number(pair, bits):
    # In one turn: a callback closes another connection, a third is accepted and gets its number, and the list of the
    # poll still has an event for that.
    hub, told = get_hub(), []
    first, second = (hub.open_descriptor(end.fileno()) for end in pair)
    fresh = []

    def close_and_open():
        second.close()
        fresh.append(hub.open_descriptor(second.fd))
        fresh[0].drained(fresh[0].readable)
        fresh[0].on_readable(lambda: told.append("reader"))
        fresh[0].on_writable(lambda: told.append("writer"))

    first.on_readable(close_and_open)
    hub.call_soon(hub.hand_out, [(first.fd, READ), (second.fd, bits)])
    ready = []
    hub.call_soon(lambda: ready.append((list(told), fresh[0].hangup, fresh[0].readable)))
    while not ready:
        sleep(0)
    assert ready == [([], False, False)]
    pair[0].send(b"x")  # what comes from now on is its own
    wait_all_blocked()
    assert "reader" in told
    for descriptor in (first, *fresh):
        descriptor.close()


def test_a_hangup_has_its_time(pair, clock):
    hub = get_hub()
    descriptor = hub.open_descriptor(pair[0].fileno())
    descriptor.on_readable(lambda: None)
    wait_all_blocked()
    clock.advance(5)
    pair[1].shutdown(socket.SHUT_WR)
    sleep(0)
    wait_all_blocked()
    if hub.poller.name != "select":
        assert descriptor.hung_up_at == clock()
    descriptor.close()


def test_a_peer_that_sends_no_more_is_nothing_to_write_for(pair, clock):
    """An edge poller tells of its end at each arm: a writer that waits for room would spin."""
    hub, woken = get_hub(), []
    descriptor = hub.open_descriptor(pair[0].fileno())
    pair[1].shutdown(socket.SHUT_WR)
    wait_all_blocked()
    ended_at = clock()
    with contextlib.suppress(BlockingIOError):
        while True:
            pair[0].send(bytes(65536))
    clock.advance(5)
    descriptor.on_writable(lambda: woken.append("writer"))
    for _ in range(5):
        sleep(0)
    assert woken == []
    if descriptor.hangup:
        assert descriptor.hung_up_at == ended_at
    with contextlib.suppress(BlockingIOError):
        while True:
            pair[1].recv(65536)
    for _ in range(5):
        sleep(0)
    assert woken == ["writer"]
    descriptor.close()
