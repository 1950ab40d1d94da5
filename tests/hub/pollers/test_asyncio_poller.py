"""The hub in an asyncio loop: its errors, its end, its children. test_contract.py has the contract."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator

import pytest
from tests.support.hubs.loops import hub as hub
from tests.support.programs.commands import run_python
from tests.support.times import PATIENCE

from greenserve_hub.aio.awaitables import spawn_for_awaitable, wait_for_awaitable
from greenserve_hub.errors import Deadlock
from greenserve_hub.greenthreads.greenthreads import GreenletExit, kill, sleep, spawn
from greenserve_hub.loop.current import get_hub, use_hub
from greenserve_hub.loop.signals import wake_on_signals
from greenserve_hub.pollers.choosing import make_poller
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import fake_clock


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def test_each_name_has_its_loop():
    for name, module in (("asyncio", "uvloop"), ("asyncio-plain", "asyncio.unix_events")):
        poller = make_poller(name)
        assert type(poller.loop).__module__ == module
        poller.close()


def test_without_uvloop_the_standard_loop_serves(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    poller = make_poller("asyncio")
    assert type(poller.loop).__module__ == "asyncio.unix_events"
    poller.close()


# Errors ---------------------------------------------------------------------------------------------------------


def test_an_error_in_a_callback_of_the_loop_goes_to_the_hub(hub, errors):
    def fail() -> None:
        raise ValueError("told")

    told = Event()
    hub.poller.loop.call_soon(fail)
    hub.poller.loop.call_soon(told.send)
    told.wait()
    error = errors.pop()
    assert str(error) == "told"
    assert "fail" in error.__notes__[0]


def test_an_exception_that_nobody_retrieves_goes_to_the_hub(hub, errors):
    async def fail() -> None:
        raise ValueError("told")

    async def start() -> None:
        asyncio.get_running_loop().create_task(fail())  # nobody keeps it
        await asyncio.sleep(0.001)

    wait_for_awaitable(start())
    sleep(0.001)
    assert str(errors.pop()) == "told"


def test_what_has_no_exception_is_told_too(hub, errors):
    hub.poller.loop.call_exception_handler({"message": "something is odd"})
    assert str(errors.pop()) == "something is odd"


def test_ctrl_c_while_a_coroutine_waits_is_raised_in_the_main_greenlet():
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    green = spawn_for_awaitable(for_ever())
    get_hub().call_soon(timer.start)
    with pytest.raises(KeyboardInterrupt):
        sleep(PATIENCE)
    timer.join()
    assert not green.dead
    kill(green)
    with pytest.raises(GreenletExit):
        green.wait()


def test_ctrl_c_in_a_coroutine_ends_the_program_once():
    async def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    spawn_for_awaitable(interrupt())
    with pytest.raises(KeyboardInterrupt):
        sleep(PATIENCE)
    sleep(0.01)


def test_a_signal_to_another_thread_ends_the_wait_of_the_loop(hub):
    def to_itself() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    caught = Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: hub.call_from_thread(caught.send, "caught"))
    try:
        with wake_on_signals(hub):
            wait_for_awaitable(asyncio.sleep(0))
            for _ in range(3):
                sender = threading.Timer(0.01, to_itself)
                sender.start()
                assert caught.wait(PATIENCE) == "caught"
                sender.join()
                caught.reset()
    finally:
        signal.signal(signal.SIGUSR1, before)


# Deadlock -------------------------------------------------------------------------------------------------------


def test_before_its_first_use_the_loop_hides_no_deadlock():
    with pytest.raises(Deadlock):
        Event().wait()


def test_a_loop_in_use_may_wake_the_program(hub):
    event = Event()
    hub.poller.loop.call_later(0.01, event.send, "woken")  # no task: asyncio cannot say that this is coming
    assert event.wait() == "woken"


# The fake clock -------------------------------------------------------------------------------------------------


def test_coroutines_run_beside_a_fake_clock(hub, monkeypatch):
    monkeypatch.setenv("GREENSERVE_HUB", hub.poller.name)

    async def coroutine() -> str:
        await spawn(sleep, 3600)
        return "an hour later"

    with fake_clock() as clock:
        began = clock()
        assert wait_for_awaitable(coroutine()) == "an hour later"
        assert clock() == began + 3600


# The end --------------------------------------------------------------------------------------------------------


def in_a_thread(name: str, fn) -> None:
    failed = []

    def run() -> None:
        try:
            fn(use_hub(name))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def test_closing_the_hub_cancels_tasks_and_ends_generators(hub):
    told: list[object] = []

    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            told.append("generator")

    async def task(fail: bool = False) -> None:
        try:
            await for_ever()
        finally:
            told.append("task")
            if fail:
                raise ValueError("at the end")

    async def awaits() -> None:
        await green

    generator = generate()

    async def begin() -> int:
        return await anext(generator)

    def run(hub) -> None:
        nonlocal green
        hub.on_error = lambda kind, error, trace: told.append(str(error))
        loop = hub.poller.loop
        green = spawn(sleep, PATIENCE)
        tasks = [loop.create_task(one) for one in (task(), task(True), awaits())]
        assert wait_for_awaitable(begin()) == 1
        hub.close()
        assert loop.is_closed()
        assert all(one.done() for one in tasks)
        green.throw(ValueError("late"))  # whom nobody awaits any more

    green = None
    in_a_thread(hub.poller.name, run)
    assert sorted(told) == ["at the end", "generator", "task", "task"]


def test_a_coroutine_may_close_its_hub(hub):
    def run(hub) -> None:
        async def close() -> None:
            hub.close()
            await for_ever()

        loop = hub.poller.loop
        task = loop.create_task(close())
        hub.switch()  # which ends, and its parent goes on
        assert task.cancelled()
        assert loop.is_closed()

    in_a_thread(hub.poller.name, run)


def test_a_fork_takes_no_coroutine_along(hub):
    script = """
        import os, sys
        from greenserve_hub import sleep, spawn, spawn_for_awaitable, use_hub, wait_for_awaitable

        hub = use_hub(sys.argv[1])
        parent = os.getpid()
        reader, writer = os.pipe()
        loop = hub.poller.loop

        async def ends() -> str:
            try:
                return await loop.run_in_executor(None, os.read, reader, 9)
            finally:
                print("finally", "in the parent" if os.getpid() == parent else "IN THE CHILD", flush=True)

        async def later(number: int) -> int:
            return await spawn(lambda: sleep(0.001) or number)

        green = spawn_for_awaitable(ends())
        wait_for_awaitable(later(1))
        pid = os.fork()
        if pid == 0:
            print("child", wait_for_awaitable(later(2)), flush=True)
            hub.close()
            loop.close()  # the one that is the parent's
            sys.exit()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.write(writer, b"data")
        print(green.wait(), wait_for_awaitable(later(3)), flush=True)
        hub.close()
    """
    done = run_script(script, hub.poller.name)
    assert done.stdout.splitlines() == ["child 2", "finally in the parent", "b'data' 3"], done.stderr
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_coroutine_that_forks_ends_the_child_where_it_waits(hub):
    script = """
        import asyncio, os, sys
        from greenserve_hub import use_hub, wait_for_awaitable

        use_hub(sys.argv[1])

        async def fork() -> int:
            pid = os.fork()
            if pid:
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            print("parent" if pid else "child", flush=True)
            await asyncio.sleep(0.001)
            return pid

        print(wait_for_awaitable(fork()) > 0, flush=True)
    """
    done = run_script(script, hub.poller.name)
    assert done.stdout.splitlines() == ["child", "parent", "True"], done.stderr
    assert (done.stderr, done.returncode) == ("", 0)


def test_in_a_patched_program_the_loop_stays_as_it_is(hub):
    script = """
        import sys
        from greenserve_hub.patching.monkey import patch_early

        patch_early()
        import asyncio, os, socket, threading, time
        from greenserve_hub import Hub, sleep, spawn, wait_for_awaitable
        from greenserve_hub.loop.current import set_hub
        from greenserve_hub.pollers.choosing import make_poller

        hub = Hub(make_poller(sys.argv[1]))
        set_hub(hub)

        async def all_of_it() -> None:
            loop = asyncio.get_running_loop()
            print(await asyncio.to_thread(lambda: time.sleep(0.001) or "an OS thread"))
            print((await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM))[0][4])
            try:
                await asyncio.to_thread(os.stat, "no such file")
            except FileNotFoundError:
                print("raised")
            sender, receiver = socket.socketpair()
            sender.setblocking(False)
            receiver.setblocking(False)
            waiting = asyncio.create_task(loop.sock_recv(receiver, 9))
            await loop.sock_sendall(sender, b"data")
            print(await waiting)
            sender.close()
            receiver.close()
            await asyncio.wait([asyncio.ensure_future(spawn(time.sleep, 0.001))])

        wait_for_awaitable(all_of_it())
        print(asyncio.run(asyncio.sleep(0.001, "a loop of its own")))
        hub.close()
    """
    done = run_script(script, hub.poller.name)
    told = ["an OS thread", "('127.0.0.1', 80)", "raised", "b'data'", "a loop of its own"]
    assert done.stdout.splitlines() == told, done.stderr
    assert (done.stderr, done.returncode) == ("", 0)


def run_script(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    filters = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")  # some fork beside OS threads
    return run_python(*filters, "-c", textwrap.dedent(script), *arguments)
