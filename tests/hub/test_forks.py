"""forks: a child ends with the green thread that forked, as CPython ends a program, and disturbs nobody's parent."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap

import pytest
from tests.support.programs.commands import run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

# `forks(what)` is a function that forks, and calls `what` in the child; `status()` is how the child ended.
_HEAD = """
import os, signal, sys, time
from greenserve_hub import *
from greenserve_hub import threads
from greenserve_hub.loop.current import get_hub

hub = get_hub()
children = []

def forks(what):
    def fork(*_):
        pid = os.fork()
        if pid:
            children.append(pid)
            return None
        return what()
    return fork

def status():
    while not children:
        sleep(0.001)
    return os.waitstatus_to_exitcode(threads.execute(os.waitpid, children.pop(), 0)[1])

def fails():
    1 / 0

def exits(code):
    return lambda: sys.exit(code)
"""
_STARTERS = {
    "spawn": "spawn(fork)",
    "spawn that somebody waits for": "green = spawn(fork); spawn(green.wait)",
    "spawn_n": "spawn_n(fork)",
    "spawn_after": "spawn_after(0.001, fork)",
    "a pool's green thread": "GreenPool().spawn(fork)",
    "a pool's worker": "GreenPool().spawn_n(fork)",
    "imap": "spawn(list, GreenPool().imap(fork, range(1)))",
    "a pile": "GreenPile().spawn(fork)",
    "an OS thread": "spawn(threads.execute, fork)",
    "a callback": "hub.call_soon(fork)",
    "a timer": "hub.call_after(0.001, fork)",
}


def run(script: str, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    program = before + _HEAD + textwrap.dedent(script)
    return run_python("-W", "ignore::DeprecationWarning", "-c", program, *arguments)


@pytest.mark.parametrize("starter", _STARTERS.values(), ids=_STARTERS)
def test_however_it_was_started_the_child_ends_as_a_program_does(starter: str) -> None:
    done = run(
        f"""
        for what in (lambda: None, fails, exits(7), exits(None), exits("a last word"), exits(263), exits(True)):
            fork = forks(what)
            {starter}
            print(status())
        """
    )
    assert done.stdout.split() == ["0", "1", "7", "0", "1", "7", "1"], done.stderr
    assert done.stderr.count("ZeroDivisionError: division by zero\n") == 1
    assert done.stderr.count("a last word\n") == 1
    assert done.stderr.count("Traceback") == 1


def test_what_it_has_printed_comes_out() -> None:
    done = run(
        """
        spawn(forks(lambda: print("from the child")))
        assert status() == 0
        """
    )
    assert (done.stdout, done.stderr) == ("from the child\n", "")


def test_it_runs_green_threads_of_its_own_until_it_ends() -> None:
    done = run(
        """
        def lives():
            event, pool = Event(), GreenPool(3)
            spawn_after(0.001, event.send, 3)
            sys.exit(event.wait() + sum(pool.imap(int, "121")) + threads.execute(len, "four"))

        spawn(sleep, 1000)  # stays in the parent
        spawn(forks(lives))
        print(status())
        """
    )
    assert (done.stdout, done.stderr) == ("11\n", "")


def test_none_of_the_parents_finally_clauses_runs_in_it() -> None:
    done = run(
        """
        def waits(name):
            try:
                sleep(1000)
            finally:
                print(name, "ends in the", "parent" if os.getpid() == parent else "CHILD", flush=True)

        parent = os.getpid()
        others = [spawn(waits, "one"), spawn(waits, "two")]

        def forgets():
            import gc
            others.clear()
            gc.collect()
            sleep(0.001)

        try:
            spawn(forks(forgets))
            print(status(), flush=True)
        finally:
            print("main", os.getpid() == parent, flush=True)
        for green in others:
            kill(green)
        """
    )
    assert done.stdout.splitlines() == ["0", "main True", "one ends in the parent", "two ends in the parent"]
    assert done.stderr == ""


def test_it_takes_no_more_of_what_is_to_be_done() -> None:
    done = run(
        """
        def handle(number):
            if number == 0:
                forks(lambda: None)()
            os.write(1, f"{number} in the {'parent' if os.getpid() == parent else 'CHILD'}\\n".encode())

        parent = os.getpid()
        list(GreenPool(1).imap(handle, range(3)))
        assert status() == 0
        """
    )
    # The one that forks goes on in both, and its green thread ends with it.
    assert sorted(done.stdout.splitlines()) == [
        "0 in the CHILD",
        "0 in the parent",
        "1 in the parent",
        "2 in the parent",
    ]
    assert done.stderr == ""


def test_one_that_nothing_can_wake_ends() -> None:
    done = run(
        """
        spawn(forks(lambda: Event().wait()))
        print(status())
        """
    )
    assert done.stdout == "1\n"
    assert "Deadlock: nothing is left that could wake this program" in done.stderr


def test_a_childs_child_likewise() -> None:
    done = run(
        """
        def lives():
            for what in (fails, exits(7)):
                children.clear()
                what_again = forks(what)
                what_again() if what is fails else spawn(what_again)
                statuses.append(status())
            sys.exit(sum(statuses) * 10)

        statuses = []
        spawn(forks(lives))
        print(status())
        """
    )
    assert done.stdout == "80\n", done.stderr
    assert done.stderr.count("Traceback") == 1


def test_sigint_reaches_the_one_that_forked() -> None:
    done = run(
        """
        def waits():
            print("waits", flush=True)
            sleep(1000)

        spawn(forks(waits))
        while not children:
            sleep(0.001)
        pid = children[0]
        sleep(0.2)
        os.kill(pid, signal.SIGINT)
        print(status())
        """,
        before="import greenserve; greenserve.monkey_patch()\n",
    )
    assert done.stdout.split() == ["waits", str(-signal.SIGINT)], done.stderr
    assert "KeyboardInterrupt" in done.stderr


def test_a_signal_handler_that_forks() -> None:
    done = run(
        """
        signal.signal(signal.SIGUSR1, forks(fails))

        def interrupted():
            os.kill(os.getpid(), signal.SIGUSR1)
            while not children:
                pass

        spawn(interrupted)
        print(status())
        """,
        before="import greenserve; greenserve.monkey_patch()\n",
    )
    assert done.stdout == "1\n", done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_a_thread_ends_it_as_threads_do() -> None:
    # CPython: the last thread of a process ends it, with 0, whatever it was that ended the thread.
    done = run(
        """
        import threading
        threading.Thread(target=forks(fails)).start()
        print(status())
        """,
        before="import greenserve; greenserve.monkey_patch()\n",
    )
    assert done.stdout == "0\n", done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_a_hub_of_another_os_thread_goes_on_in_the_parent() -> None:
    done = run(
        """
        import queue, threading
        ready = queue.Queue()

        def serves():
            sock = listen(("127.0.0.1", 0))
            ready.put((sock, get_hub()))
            for _ in range(2):
                client = sock.accept()[0]
                client.sendall(b"hello")
                client.close()

        threading.Thread(target=serves, daemon=True).start()
        sock, other = ready.get()

        def asks():
            with connect(sock.getsockname()) as client:
                return client.recv(5)

        print(asks())

        def lives():
            assert other.closed
            other.call_from_thread(print, "in the child")
            sock.close()  # must not reach the epoll that the kernel shares

        pid = os.fork()
        if not pid:
            lives()
            os._exit(0)
        children.append(pid)
        print(status(), asks())
        """
    )
    assert done.stdout.splitlines() == ["b'hello'", "0 b'hello'"], done.stderr
    assert done.stderr == ""


def test_an_executor_of_asyncio() -> None:
    done = run(
        """
        import asyncio
        from greenserve_hub import spawn_for_awaitable, use_hub

        hub = use_hub("asyncio-plain")

        async def run(what):
            await asyncio.get_running_loop().run_in_executor(None, forks(what))

        for what in (exits(7), fails, lambda: None):
            spawn_for_awaitable(run(what)).wait()
            print(status())
        """
    )
    assert done.stdout.split() == ["7", "1", "0"], done.stderr


def test_a_statement_in_a_backdoor() -> None:
    done = run(
        """
        from greenserve_hub.diagnostics.backdoors import backdoor_server

        sock = listen(("127.0.0.1", 0))
        server = spawn(backdoor_server, sock, {"fork": forks(fails)})
        with connect(sock.getsockname()) as client:
            client.sendall(b"fork()\\nprint('once')\\nexit()\\n")
            said = b""
            while data := client.recv(4096):
                said += data
        print(status(), said.count(b"once"), said.count(b"ZeroDivisionError: "))
        kill(server)
        """
    )
    assert done.stdout.split() == ["1", "1", "1"], done.stderr
