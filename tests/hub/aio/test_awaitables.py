"""Coroutines for green threads and green threads for coroutines, on both kinds of loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from tests.support.hubs.loops import hub as hub
from tests.support.times import PATIENCE

from greenserve_hub.aio.awaitables import spawn_for_awaitable, wait_for_awaitable
from greenserve_hub.errors import HubError
from greenserve_hub.greenio.connecting import create_connection
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenthreads.greenthreads import GreenletExit, kill, sleep, spawn, spawn_after
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import get_hub, set_hub, use_hub
from greenserve_hub.loop.parking import WaitQueue
from greenserve_hub.sync.events import Event

# Both ways to wait for a coroutine.
both = pytest.mark.parametrize(
    "result_of", [wait_for_awaitable, lambda awaitable: spawn_for_awaitable(awaitable).wait()]
)


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("told")


class Slow:
    """A coroutine that waits for ever, and what became of it."""

    def __init__(self, answer: str = "cancel") -> None:
        self.answer = answer
        self.told: list[str] = []
        self.begun = Event()

    async def run(self) -> str:
        try:
            self.begun.send()
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)  # tidying up may wait
            self.told.append("cancelled")
            if self.answer == "fail":
                raise ValueError("while tidying up") from None
            if self.answer == "cancel":
                raise
        return self.answer


# Waiting for a coroutine ----------------------------------------------------------------------------------


@both
def test_the_result_and_the_exception_come_back(result_of):
    assert result_of(double(21)) == 42
    with pytest.raises(ValueError, match="told"):
        result_of(fail())


@both
def test_other_awaitables_will_do(hub, result_of):
    class Awaitable:
        def __await__(self):
            return double(4).__await__()

    assert result_of(Awaitable()) == 8
    assert result_of(hub.poller.loop.create_task(double(5))) == 10
    future = hub.poller.loop.create_future()
    spawn(future.set_result, 3)
    assert result_of(future) == 3
    assert result_of(future) == 3  # which is done by now


@both
def test_what_cannot_be_awaited_is_refused(result_of):
    with pytest.raises(TypeError, match="another awaitable is needed, not int"):
        result_of(3)
    loop = asyncio.new_event_loop()
    with pytest.raises(HubError, match="belongs to another asyncio loop"):
        result_of(loop.create_future())
    loop.close()


@both
def test_on_another_hub_it_says_which_one_is_needed(result_of):
    before = set_hub(None)
    other = use_hub("select")
    with pytest.raises(
        HubError,
        match=r'hub of this OS thread uses select: set GREENSERVE_HUB=asyncio, or call use_hub\("asyncio"\)',
    ):
        result_of(double(1))
    other.close()
    set_hub(before)


def test_many_run_side_by_side():
    greens = [spawn_for_awaitable(double(number)) for number in range(100)]
    assert [green.wait() for green in greens] == list(range(0, 200, 2))


@both
def test_context_variables_come_along_and_stay_apart(result_of):
    user = contextvars.ContextVar("user", default="nobody")

    async def change() -> str:
        seen = user.get()
        user.set("the coroutine")
        await asyncio.sleep(0)
        return seen

    def green() -> tuple[str, str]:
        user.set("green")
        return result_of(change()), user.get()

    assert spawn(green).wait() == ("green", "green")
    assert user.get() == "nobody"


def test_a_dump_says_which_coroutine_is_waited_for(hub):
    slow = Slow()
    green = spawn_for_awaitable(slow.run())
    slow.begun.wait()
    assert str(hub.parked[green]) == "coroutine Slow.run"
    assert green.name == "Slow.run"
    kill(green)
    with pytest.raises(GreenletExit):
        green.wait()


# Cancelling -------------------------------------------------------------------------------------------------


def test_a_killed_green_thread_cancels_and_ends_after_the_coroutine():
    slow = Slow()
    green = spawn_for_awaitable(slow.run())
    slow.begun.wait()
    green.kill()
    with pytest.raises(GreenletExit):
        green.wait()
    assert slow.told == ["cancelled"]


def test_killed_before_its_first_step_the_coroutine_never_runs(hub):
    slow = Slow()
    green = spawn_for_awaitable(slow.run())
    green.kill()
    with pytest.raises(GreenletExit):
        green.wait()
    with Timeout(PATIENCE):
        while asyncio.all_tasks(hub.poller.loop):
            sleep()
    assert slow.told == []
    assert not slow.begun.ready()


def test_a_timeout_cancels_the_coroutine_that_it_interrupts():
    with pytest.raises(Timeout), Timeout(0.001):
        wait_for_awaitable(asyncio.sleep(PATIENCE))


@pytest.mark.parametrize("answer", ["cancel", "a result", "fail"])
def test_whatever_the_answer_to_the_cancelling_is_the_timeout_is_raised(answer, errors):
    slow = Slow(answer)
    waiting = spawn(wait_for_awaitable, slow.run())
    slow.begun.wait()
    waiting.kill(Timeout())
    with pytest.raises(Timeout):
        waiting.wait()
    assert slow.told == ["cancelled"]
    if answer == "fail":
        assert str(errors.pop()) == "while tidying up"


def test_who_will_not_be_cancelled_can_be_left():
    begun, refused, release = Event(), Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            begun.send()
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            refused.send()
            await release.wait()

    green = spawn_for_awaitable(stubborn())
    begun.wait()
    green.kill()
    refused.wait()
    assert not green.dead
    green.kill()
    assert green.dead
    release.set()


@both
def test_cancelled_by_others_it_ends_as_one_that_was_killed(hub, result_of):
    task = hub.poller.loop.create_task(Slow().run())
    spawn_after(0.01, task.cancel)
    with pytest.raises(GreenletExit, match="was cancelled"):
        result_of(task)


@pytest.mark.parametrize(
    "start", [spawn_for_awaitable, lambda coroutine: spawn(wait_for_awaitable, coroutine)]
)
def test_what_ends_the_program_ends_it_once(start):
    async def leave() -> None:
        await asyncio.sleep(0)
        raise SystemExit("told")

    start(leave())
    with pytest.raises(SystemExit, match="told"):
        sleep(PATIENCE)
    sleep(0.01)


# Awaiting a green thread ----------------------------------------------------------------------------------------


def test_a_coroutine_gets_result_and_exception_of_a_green_thread():
    def raising() -> None:
        sleep(0.001)
        raise ValueError("told")

    async def coroutine() -> list[object]:
        ended = spawn(int, "7")
        answers: list[object] = [await spawn(sleep, 0.001), await ended, await ended]
        try:
            await spawn(raising)
        except ValueError as error:
            answers.append(str(error))
        return answers

    assert wait_for_awaitable(coroutine()) == [None, 7, 7, "told"]


def test_gather_and_wait_for_take_green_threads():
    async def coroutine() -> object:
        one, other = spawn(lambda: sleep(0.002) or 1), spawn(lambda: sleep(0.001) or 2)
        return await asyncio.wait_for(asyncio.gather(one, other), PATIENCE)

    assert wait_for_awaitable(coroutine()) == [1, 2]


def test_cancelling_the_coroutine_kills_the_green_thread_and_waits_for_its_end():
    told: list[str] = []
    begun, awaited = Event(), Event()

    def work() -> None:
        try:
            begun.send()
            sleep(PATIENCE)
        finally:
            sleep(0.001)
            told.append("green thread")

    async def coroutine() -> None:
        awaited.send()
        try:
            await green
        finally:
            told.append("coroutine")

    green = spawn(work)
    waiting = spawn_for_awaitable(coroutine())
    begun.wait()
    awaited.wait()
    waiting.kill()
    with pytest.raises(GreenletExit):
        waiting.wait()
    assert told == ["green thread", "coroutine"]
    assert green.dead


def test_asyncios_timeout_reaches_the_green_thread():
    green = spawn(sleep, PATIENCE)

    async def coroutine() -> None:
        async with asyncio.timeout(0.01):
            await green

    with pytest.raises(TimeoutError):
        wait_for_awaitable(coroutine())
    assert green.dead


def test_a_shield_keeps_the_green_thread_alive():
    green = spawn(sleep, PATIENCE)

    async def coroutine() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.shield(green)

    with pytest.raises(TimeoutError):
        wait_for_awaitable(coroutine())
    assert not green.dead
    kill(green)


def test_a_green_thread_killed_by_others_is_a_cancelled_one():
    green = spawn(sleep, PATIENCE)

    async def coroutine() -> str:
        try:
            await green
        except asyncio.CancelledError:
            return "cancelled"
        return "not"

    waiting = spawn_for_awaitable(coroutine())
    sleep(0.001)
    kill(green)
    assert waiting.wait() == "cancelled"


def test_a_green_thread_that_ends_the_program_does_so_once():
    def leave() -> None:
        raise SystemExit("told")

    async def coroutine() -> None:
        await spawn(leave)

    waiting = spawn_for_awaitable(coroutine())
    with pytest.raises(SystemExit, match="told"):
        sleep(PATIENCE)
    with pytest.raises(GreenletExit):
        waiting.wait()


def test_a_stopiteration_is_told_as_a_coroutine_can_tell_it():
    def stop() -> None:
        raise StopIteration(3)

    async def coroutine() -> None:
        await spawn(stop)

    with pytest.raises(RuntimeError, match="StopIteration"):
        wait_for_awaitable(coroutine())


def test_outside_its_own_loop_a_green_thread_cannot_be_awaited():
    green = spawn(sleep)

    async def coroutine() -> None:
        await green

    with pytest.raises(HubError, match="only in the asyncio loop of its own hub"):
        asyncio.run(coroutine())
    green.wait()


def test_on_another_hub_no_green_thread_can_be_awaited():
    before = set_hub(None)
    other = use_hub("select")
    green = spawn(sleep)
    with pytest.raises(HubError, match="hub uses select: set GREENSERVE_HUB=asyncio"):
        next(green.__await__())
    green.wait()
    other.close()
    set_hub(before)


# Side by side ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wait", [lambda: Event().wait(), lambda: sleep(1), lambda: wait_for_awaitable(double(1))]
)
def test_a_coroutine_cannot_wait_as_a_green_thread_does(wait):
    async def coroutine() -> None:
        wait()

    with pytest.raises(HubError, match="would wait inside the hub"):
        wait_for_awaitable(coroutine())
    sleep(0.001)


def test_what_a_coroutine_sends_wakes_a_green_thread_at_once():
    event, queue = Event(), WaitQueue()

    async def coroutine() -> None:
        await asyncio.sleep(0.001)
        event.send("sent")
        await asyncio.sleep(0.001)
        queue.wake_one("woken")
        await asyncio.sleep(0.001)
        spawn_after(0.001, queue.wake_one, "later")
        await Slow().run()  # nothing else ends the loop's run

    task = spawn_for_awaitable(coroutine())
    assert event.wait(PATIENCE) == "sent"
    assert queue.park("test", None, PATIENCE) == "woken"
    assert queue.park("test") == "later"
    kill(task)
    with pytest.raises(GreenletExit):
        task.wait()


def test_a_busy_hub_lets_coroutines_run():
    done = []

    async def coroutine() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        done.append(True)

    green = spawn_for_awaitable(coroutine())
    with Timeout(PATIENCE):
        while not done:
            sleep()
    green.wait()


def test_a_loop_that_never_rests_lets_green_threads_run():
    stop = []

    async def busy() -> None:
        while not stop:
            await asyncio.sleep(0)

    green = spawn_for_awaitable(busy())
    for _ in range(10):
        sleep(0.001)
    stop.append(True)
    green.wait()


def test_only_coroutines_see_the_loop_run(hub):
    async def coroutine() -> bool:
        return asyncio.get_running_loop() is hub.poller.loop

    def none_runs() -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()

    assert wait_for_awaitable(coroutine())
    none_runs()
    spawn(none_runs).wait()


def test_a_green_thread_may_run_a_loop_of_its_own():
    async def waits_green() -> int:
        loop = asyncio.get_running_loop()
        sleep(0.001)  # allowed: its own loop does not run in the hub
        assert asyncio.get_running_loop() is loop
        return await double(2)

    ticks = []
    ticker = spawn(lambda: (sleep(0.0005), ticks.append(wait_for_awaitable(double(1)))))
    assert spawn(asyncio.run, waits_green()).wait() == 4
    ticker.wait()
    assert ticks == [2]


def test_streams_of_asyncio_talk_to_green_sockets():
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = wait_for_awaitable(asyncio.start_server(shout, "127.0.0.1", 0))
    sock: GreenSocket
    with create_connection(server.sockets[0].getsockname()) as sock:
        sock.sendall(b"hello\n")
        assert sock.recv(100) == b"HELLO\n"
        assert sock.recv(100) == b""
    server.close()
    wait_for_awaitable(server.wait_closed())


def test_calls_from_other_os_threads_reach_both():
    hub, told, event = get_hub(), [], Event()

    async def coroutine() -> int:
        told.append(await asyncio.to_thread(threading.get_ident))
        hub_thread = await asyncio.to_thread(hub.call_from_thread, event.send, "sent")
        assert hub_thread is None
        return threading.get_ident()

    assert wait_for_awaitable(coroutine()) == threading.get_ident() != told[0]
    assert event.wait(PATIENCE) == "sent"


def test_green_threads_see_the_loop_once_it_is_shown(hub):
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    hub.poller.show_loop()
    try:
        task = asyncio.create_task(double(3))
        assert wait_for_awaitable(task) == 6
        assert spawn(lambda: wait_for_awaitable(asyncio.ensure_future(double(4)))).wait() == 8
        assert asyncio.get_running_loop() is hub.poller.loop
    finally:
        asyncio._set_running_loop(None)
