"""signals: a handler runs at once, whichever OS thread the signal came to."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator

import pytest
from tests.support.hubs.green import hub as hub
from tests.support.times import PATIENCE

from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.signals import wake_on_signals
from greenserve_hub.sync.events import Event


@pytest.fixture
def caught() -> Iterator[Event]:
    """Sent by the handler of SIGUSR1."""
    event = Event()
    hub = get_hub()
    before = signal.signal(signal.SIGUSR1, lambda number, frame: hub.call_from_thread(event.send, number))
    yield event
    signal.signal(signal.SIGUSR1, before)


def _to_another_thread() -> None:
    """Have this very OS thread interrupted, so that no wait of the main thread is."""
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)


def test_a_signal_to_another_thread_ends_the_wait(hub: Hub, caught: Event) -> None:
    with wake_on_signals(hub):
        for _ in range(3):  # and again
            sender = threading.Timer(0.01, _to_another_thread)
            sender.start()
            assert caught.wait(PATIENCE) == signal.SIGUSR1
            sender.join()
            caught.reset()


def test_more_signals_than_the_buffer_holds(hub: Hub, caught: Event) -> None:
    with wake_on_signals(hub):
        fd = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        with socket.socket(fileno=fd) as writer:
            try:
                while writer.send(bytes(4096)):
                    pass
            except BlockingIOError:
                pass
            writer.detach()
        signal.raise_signal(signal.SIGUSR1)
        assert caught.wait(PATIENCE) == signal.SIGUSR1


def test_what_was_there_before_is_back(hub: Hub) -> None:
    one, other = socket.socketpair()
    with one, other:
        other.setblocking(False)
        signal.set_wakeup_fd(other.fileno())
        try:
            descriptors = len(hub.descriptors)
            with wake_on_signals(hub):
                assert len(hub.descriptors) == descriptors + 1
        finally:
            assert signal.set_wakeup_fd(-1) == other.fileno()
        assert len(hub.descriptors) == descriptors
        sleep()


def test_outside_the_main_thread_it_is_an_error(hub: Hub) -> None:
    told: list[BaseException] = []

    def enter() -> None:
        try:
            with wake_on_signals(hub):
                pass
        except ValueError as error:
            told.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert "main thread" in str(told[0])
    assert not hub.descriptors
