"""select, poll, epoll and selectors of a patched program."""

from __future__ import annotations

import os
import select as native
import selectors
import socket
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests.support.programs.patched import run
from tests.support.times import MS, PATIENCE

from greenserve_hub import sleep, spawn
from greenserve_hub.patching.green.green_select import Epoll, Poll, poll, select

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def by_select(sock: socket.socket, timeout: float | None) -> bool:
    return bool(select([sock], [], [], timeout)[0])


def by_poll(sock: socket.socket, timeout: float | None) -> bool:
    poller = poll()
    poller.register(sock, native.POLLIN)
    return poller.poll(None if timeout is None else timeout * 1000) == [(sock.fileno(), native.POLLIN)]


def by_epoll(sock: socket.socket, timeout: float | None) -> bool:
    with Epoll() as epoll:
        epoll.register(sock, native.EPOLLIN)
        return epoll.poll(timeout) == [(sock.fileno(), native.EPOLLIN)]


@pytest.fixture(params=[by_select, by_poll, by_epoll])
def readable(request: pytest.FixtureRequest) -> Callable[[socket.socket, float | None], bool]:
    return request.param


def test_waits_and_lets_others_run(readable: Callable[..., bool], pair: Pair):
    waiting = [spawn(readable, pair[0], None) for _ in range(3)]  # any number may
    sleep()
    assert not any(one.dead for one in waiting)
    pair[1].send(b"x")
    assert [one.wait() for one in waiting] == [True] * 3


def test_a_timeout_is_any_real_number(readable: Callable[..., bool], pair: Pair):
    order = []
    other = spawn(order.append, "another")
    assert readable(pair[0], Fraction(1, 1000)) is False
    assert order == ["another"], "it held the hub"
    other.wait()
    for wrong in ("1", [], 1j):
        with pytest.raises(TypeError):
            readable(pair[0], wrong)
    with pytest.raises(ValueError, match="NaN"):
        readable(pair[0], float("nan"))


def test_time_runs_out(readable: Callable[..., bool], pair: Pair):
    assert readable(pair[0], 2 * MS) is False
    assert readable(pair[0], 0) is False


@pytest.mark.parametrize("timeout", [0, 10, None])
def test_a_loop_around_what_is_always_ready_lets_others_run(
    readable: Callable[..., bool], pair: Pair, timeout: float | None
):
    pair[1].send(b"x")
    turns: list[int] = []
    spawn(turns.append, 1)
    while not turns:
        assert readable(pair[0], timeout) is True


def test_another_may_be_faster(readable: Callable[..., bool], pair: Pair):
    waiting = spawn(readable, pair[0], 20 * MS)
    taking = spawn(lambda: by_select(pair[0], None) and pair[0].recv(1))
    sleep()
    pair[1].send(b"x")
    assert taking.wait() == b"x"
    waiting.wait()  # woken or timed out, but never stuck


def test_select_says_what_the_standard_says(pair: Pair, tmp_path: Path):
    with pytest.raises(TypeError, match="timeout"):
        select([], [], [], "soon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        select([], [], [], -1)
    with pytest.raises(TypeError):
        select([object()], [], [])
    with pytest.raises((ValueError, OSError)):
        select([-1], [], [])
    assert select(iter([pair[0]]), (one for one in [pair[1]]), [], 1) == ([], [pair[1]], [])
    with (tmp_path / "file").open("w+") as file:
        assert select([file], [file], [], 1) == ([file], [file], [])


def test_poll_registers(pair: Pair):
    poller = poll()
    with pytest.raises(FileNotFoundError):
        poller.modify(pair[0], native.POLLIN)
    with pytest.raises(KeyError):
        poller.unregister(pair[0])
    poller.register(pair[0])
    assert poller.poll() == [(pair[0].fileno(), native.POLLOUT)]
    poller.modify(pair[0], native.POLLIN)
    assert poller.poll(MS) == []
    poller.unregister(pair[0])
    assert poller.poll(1) == []
    with pytest.raises(TypeError, match="cannot create"):
        Poll()
    with pytest.raises(TypeError):
        poller.poll("soon")  # type: ignore[arg-type]


def test_one_poll_object_serves_one_at_a_time(pair: Pair):
    poller = poll()
    poller.register(pair[0], native.POLLIN)
    first = spawn(poller.poll)
    sleep()
    with pytest.raises(RuntimeError, match="concurrent"):
        poller.poll()
    pair[1].send(b"x")
    first.wait()


def test_one_epoll_serves_many(pair: Pair):
    with Epoll() as epoll:
        epoll.register(pair[0], native.EPOLLIN)
        waiting = [spawn(epoll.poll) for _ in range(3)]
        sleep()
        pair[1].send(b"x")
        assert [one.wait() for one in waiting] == [[(pair[0].fileno(), native.EPOLLIN)]] * 3
        with Epoll.fromfd(os.dup(epoll.fileno())) as other:
            assert other.poll(0)
    assert epoll.closed
    with pytest.raises(ValueError, match="closed"):
        epoll.poll(0)


def test_an_epoll_that_is_closed_while_somebody_waits(pair: Pair):
    epoll = Epoll()
    epoll.register(pair[0], native.EPOLLIN)
    waiting = spawn(epoll.poll)
    sleep()
    epoll.close()
    with pytest.raises(ValueError, match="closed"):
        waiting.wait()


@pytest.mark.parametrize("kind", ["SelectSelector", "PollSelector", "EpollSelector", "DefaultSelector"])
def test_selectors_that_were_imported_before(kind: str):
    said = run(
        """
        import selectors, socket, sys
        greenserve.monkey_patch()
        ours, theirs = socket.socketpair()
        with getattr(selectors, sys.argv[1])() as selector:
            selector.register(ours, selectors.EVENT_READ, "data")
            greenserve.spawn_after(0.01, theirs.send, b"x")
            ((key, events),) = selector.select(10)
            print(key.data, events, selector.select(0) != [])
        for one in ours, theirs:
            one.close()
        """,
        kind,
        patch=False,
    )
    assert said == f"data {selectors.EVENT_READ} True\n"


def test_a_coroutine_that_blocks_finds_its_loop_again():
    said = run(
        """
        import threading, time
        lock = threading.Lock()
        import asyncio
        async def main(n):
            loop = asyncio.get_running_loop()
            for _ in range(3):
                with lock:
                    time.sleep(0.001)
                assert asyncio.get_running_loop() is loop
                await asyncio.sleep(0)
            return n
        def blocks(n):
            return asyncio.run(main(n))
        print([green.wait() for green in [greenserve.spawn(blocks, n) for n in range(10)]])
        """
    )
    assert said == "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n"


def test_a_coroutine_that_blocks_leaves_nothing_of_its_loop_to_the_others():
    said = run(
        """
        import asyncio, sys, time
        async def numbers(n, closed):
            try:
                yield n
            finally:
                await asyncio.sleep(0.001)
                closed.set()
        async def main(n):
            task, hooks, closed = asyncio.current_task(), sys.get_asyncgen_hooks(), asyncio.Event()
            async for number in numbers(n, closed):
                time.sleep(0.001 * (n % 3))  # so that they do not end in the order of their beginnings
                break
            assert (asyncio.current_task(), sys.get_asyncgen_hooks()) == (task, hooks)
            await asyncio.wait_for(closed.wait(), float(sys.argv[1]))  # by a task, which its hooks have made
            return number
        greens = [greenserve.spawn(lambda n: asyncio.run(main(n)), n) for n in range(10)]
        def looks():
            time.sleep(0)
            return asyncio._get_running_loop(), tuple(sys.get_asyncgen_hooks())
        print(greenserve.spawn(looks).wait(), [green.wait() for green in greens] == list(range(10)))
        """,
        str(PATIENCE),
    )
    assert said == "(None, (None, None)) True\n"


def test_an_asyncio_loop_for_each_green_thread():
    said: Any = run(
        """
        import asyncio, threading, time
        async def main(number):
            reader, writer = await asyncio.open_connection(*address)
            line = await reader.readline()
            writer.close()
            begun.append(number)
            while len(begun) < 20:
                await asyncio.sleep(0.001)
            return number, line, await asyncio.to_thread(meeting.wait, 30)
        async def serve():
            async def answer(reader, writer):
                writer.write(b"hello\\n")
                await writer.drain()
                writer.close()
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            address.extend(server.sockets[0].getsockname())
            async with server:
                await asyncio.sleep(60)
        address = []
        serving = greenserve.spawn(asyncio.run, serve())
        while not address:
            time.sleep(0.001)
        begun, meeting = [], threading.Barrier(20)
        greens = [greenserve.spawn(lambda n: asyncio.run(main(n)), n) for n in range(20)]
        numbers, lines, places = zip(*[green.wait() for green in greens])
        assert numbers == tuple(range(20)) and set(lines) == {b"hello\\n"} and set(places) == set(range(20))
        serving.kill()
        print("all met")
        """
    )
    assert said == "all met\n"
