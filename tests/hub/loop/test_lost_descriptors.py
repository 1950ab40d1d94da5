"""A hub whose descriptors other code has closed waits with new ones. Forks: test_forks.py."""

from __future__ import annotations

import socket
import textwrap

import pytest
from tests.support.programs.commands import run_python
from tests.support.servers.running import own_hub

from greenserve_hub.greenio.hubs import trampoline
from greenserve_hub.loop.current import use_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.pollers.choosing import available_pollers

_NAMES = [name for name in available_pollers() if name in ("epoll", "poll", "select")]


# Only epoll tells that a number is another file's by now.
@pytest.mark.parametrize(
    ("name", "reused"), [(name, count) for name in _NAMES for count in (0, 20)[: 1 + (name == "epoll")]]
)
def test_everything_goes_on(name: str, reused: int) -> None:
    # A process of its own: what is closed is closed for pytest too.
    script = """
        import os, signal, socket, sys
        from greenserve_hub import Event, sleep, spawn, threads, use_hub
        from greenserve_hub.errors import IOClosed
        from greenserve_hub.greenio.hubs import trampoline
        from greenserve_hub.loop.signals import wake_on_signals

        hub = use_hub(sys.argv[1])
        mine, other = socket.socketpair()

        def waits():
            try:
                trampoline(mine.fileno(), read=True)
            except IOClosed:
                return "told that it is closed"

        with wake_on_signals(hub):
            waiting = spawn(waits)
            event = Event()
            hub.call_after(0.05, event.send, "the timer")
            sleep()
            os.closerange(3, 1000)
            taken = [os.open(os.devnull, os.O_RDWR) for _ in range(int(sys.argv[2]))]
            print(event.wait())
            print(waiting.wait())
            print(threads.execute(lambda: "an OS thread"))
            print(spawn(lambda: "a green thread").wait())
            assert signal.set_wakeup_fd(-1) == -1
            fresh = socket.socketpair()
            spawn(fresh[1].send, b"x")
            trampoline(fresh[0].fileno(), read=True)
            print(fresh[0].recv(1))
            sys.stdout.flush()
            for number in taken:
                os.fstat(number)  # they are the program's
            os._exit(0)
    """
    done = run_python("-c", textwrap.dedent(script), name, str(reused))
    assert done.stdout.splitlines() == [
        "the timer",
        "told that it is closed",
        "an OS thread",
        "a green thread",
        "b'x'",
    ], done.stderr
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", _NAMES)
def test_nothing_is_new_where_nothing_was_lost(name: str) -> None:
    with own_hub() as before:
        before.close()
        hub: Hub = use_hub(name)
        poller, number = hub.poller, hub.wakeup.fd
        assert not hub.renew()
        assert (hub.poller, hub.wakeup.fd) == (poller, number)
        one, other = socket.socketpair()
        with one, other:
            other.send(b"x")
            trampoline(one.fileno(), read=True)
        hub.close()
