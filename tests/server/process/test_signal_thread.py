"""signal_thread: what an OS thread hears of signals, in which order, and what is left of it."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from tests.support.servers.running import open_files, own_hub
from tests.support.times import MS, PATIENCE, eventually

from greenserve.process.signal_thread import SignalThread
from greenserve_hub.deadlines import NEVER
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.events import Event


class Listener:
    """The two functions that a SignalThread calls."""

    def __init__(self) -> None:
        self.numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.moment = NEVER
        self.looks = 0

    def due(self) -> float:
        self.looks += 1
        if time.monotonic() >= self.moment:
            self.moment = NEVER
            self.numbers.put(-1)
        return self.moment

    def next(self) -> int:
        return self.numbers.get(timeout=PATIENCE)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def thread(listener: Listener) -> Iterator[SignalThread]:
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    with own_hub():
        files = open_files()
        thread = SignalThread(listener.numbers.put, listener.due).start()
        yield thread
        thread.close()
        # Those of an earlier test may have been about to close.
        eventually(lambda: open_files().items() <= files.items(), "its descriptors are closed")
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_each_signal_and_each_waking_in_their_order(thread: SignalThread, listener: Listener) -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2, 0, signal.SIGUSR1, 0):
        if number:
            os.kill(os.getpid(), number)
        else:
            thread.wake()
        assert listener.next() == number


def test_one_without_a_handler_is_none(thread: SignalThread, listener: Listener) -> None:
    os.kill(os.getpid(), signal.SIGCHLD)  # which is ignored unless somebody asks for it
    thread.wake()
    assert listener.next() == 0


def test_a_moment(thread: SignalThread, listener: Listener) -> None:
    listener.moment = time.monotonic() + 20 * MS
    thread.wake()
    assert [listener.next(), listener.next()] == [0, -1]
    looks = listener.looks
    thread.wake()
    assert listener.next() == 0
    eventually(lambda: listener.looks > looks)


def test_a_hub_that_waits_is_woken(thread: SignalThread) -> None:
    event: Event[str] = Event()
    # The handler runs as soon as the main thread does, and in a waiting hub nothing does.
    signal.signal(signal.SIGUSR1, lambda *_: event.send("handled"))

    hub = get_hub()

    def interrupt_nobody() -> None:
        while not hub.waiting:
            time.sleep(MS)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    interrupting = threading.Thread(target=interrupt_nobody)
    interrupting.start()
    assert event.wait(PATIENCE) == "handled"
    interrupting.join()


def test_the_wakeup_descriptor_goes_back_to_who_had_it(listener: Listener) -> None:
    reader, writer = socket.socketpair()
    with reader, writer:
        for sock in (reader, writer):
            sock.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno())
        try:
            SignalThread(listener.numbers.put, listener.due).start().close()
            assert signal.set_wakeup_fd(writer.fileno()) == writer.fileno()
            # Nor is it taken from one who has taken it meanwhile.
            thread = SignalThread(listener.numbers.put, listener.due).start()
            signal.set_wakeup_fd(reader.fileno())
            thread.close()
            thread.close()
            thread.wake()
            assert signal.set_wakeup_fd(writer.fileno()) == reader.fileno()
        finally:
            signal.set_wakeup_fd(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_in_the_child_of_a_fork_it_has_ended(thread: SignalThread, listener: Listener) -> None:
    read, write = os.pipe()
    pipe = {(fd, what) for fd, what in open_files().items() if fd in (thread._reader, thread._writer)}
    child = os.fork()
    if not child:
        try:
            os.kill(os.getpid(), signal.SIGUSR1)  # which the parent must not hear of
            left = pipe - set(open_files().items())
            os.write(write, f"{len(left)} {signal.set_wakeup_fd(-1)}".encode())
        finally:
            os._exit(0)
    assert os.read(read, 100) == b"2 -1"
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    thread.wake()
    assert listener.next() == 0
