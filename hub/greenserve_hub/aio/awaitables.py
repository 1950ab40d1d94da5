"""Coroutines for green threads, on the asyncio hub: async libraries in blocking style.

A coroutine runs as a task in the hub's loop, and a green thread waits for it. For the green thread it is as if it ran
the coroutine's code itself: it gets results and exceptions, context variables are passed on, and killing it cancels the
task and waits until the task's finally clauses have run. The other direction, `await green_thread`, is
GreenThread.__await__. Imports no asyncio, which takes long: the poller provides the loop.

Cancellation is CancelledError in coroutines and GreenletExit in green threads, and is translated between them.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from greenlet import GreenletExit, getcurrent

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import GreenThread
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.parking import Waiter

if TYPE_CHECKING:
    from asyncio import Future
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")


class CoroutineThread(GreenThread[T]):
    """The green thread of spawn_for_awaitable, which waits for a coroutine."""

    def _end_unstarted(self, throw_args: tuple[Any, ...]) -> None:
        _, future = self._call[1]
        future.cancel()
        super()._end_unstarted(throw_args)


def spawn_for_awaitable(awaitable: Awaitable[T]) -> GreenThread[T]:
    """Run a coroutine or another awaitable in the hub's asyncio loop. Return a green thread that waits for it.

    Its `wait()` returns the result or raises the exception. Killing it cancels the coroutine. If others cancel the
    coroutine, the green thread ends with GreenletExit. HubError if the hub is not on asyncio. Switches: never.
    """
    hub, future = _start(awaitable)
    green: GreenThread[T] = CoroutineThread(hub, _outcome, (hub, future), {})
    green.name = _told(future)
    hub.ready.append((green.switch, ()))
    return green


def wait_for_awaitable(awaitable: Awaitable[T]) -> T:
    """Run a coroutine or another awaitable in the hub's asyncio loop. Return its result or raise its exception.

    A Timeout or a kill of this green thread cancels the coroutine. HubError if the hub is not on asyncio, and inside a
    coroutine. Switches: always.
    """
    if getcurrent() is get_hub().greenlet:
        _drop(awaitable)
        raise HubError("wait_for_awaitable() would wait inside the hub: in a coroutine, use `await` instead")
    hub, future = _start(awaitable)
    return cast(T, _outcome(hub, future))


def _start(awaitable: Awaitable[Any]) -> tuple[Hub, Future[Any]]:
    if not inspect.isawaitable(awaitable):
        raise TypeError(f"a coroutine or another awaitable is needed, not {type(awaitable).__name__}")
    hub = get_hub()
    poller: Any = hub.poller
    loop = getattr(poller, "loop", None)
    if loop is None:
        _drop(awaitable)
        raise HubError(
            f"coroutines need the asyncio hub, but the hub of this OS thread uses {hub.poller.name}: "
            'set GREENSERVE_HUB=asyncio, or call use_hub("asyncio") before anything else'
        )
    poller.set_executor(_make_executor)
    if getattr(awaitable, "_asyncio_future_blocking", None) is not None:  # the test of asyncio.isfuture()
        future = cast("Future[Any]", awaitable)
        if future.get_loop() is not loop:
            raise HubError(f"{future!r} belongs to another asyncio loop than this hub's")
        return hub, future
    task: Future[Any] = loop.create_task(_carry(awaitable), name=_name(awaitable))
    task.add_done_callback(partial(_drop, awaitable))  # in case it was cancelled before its first step
    return hub, task


def _make_executor() -> ThreadPoolExecutor:
    from greenserve_hub.aio.executors import OSThreadExecutor

    return OSThreadExecutor()


def _drop(awaitable: Awaitable[Any], _: object = None) -> None:
    if inspect.iscoroutine(awaitable):
        awaitable.close()  # otherwise Python warns that it was never awaited, and hides the reason


def _name(awaitable: Awaitable[Any]) -> str:
    return getattr(awaitable, "__qualname__", type(awaitable).__qualname__)


class _End:
    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _carry(awaitable: Awaitable[T]) -> T | _End:
    try:
        return await awaitable
    except (KeyboardInterrupt, SystemExit) as error:
        # A task would also raise it out of the loop, and the program would end twice.
        return _End(error)


def _outcome(hub: Hub, future: Future[Any]) -> Any:
    if not future.done():
        try:
            _park(hub, future)
        except BaseException:
            _cancel(hub, future)
            raise
    if future.cancelled():
        raise GreenletExit(f"coroutine {_told(future)} was cancelled")
    result = future.result()
    if isinstance(result, _End):
        raise result.error
    return result


def _park(hub: Hub, future: Future[Any]) -> None:
    waiter = Waiter(hub, "coroutine", _told(future))
    future.add_done_callback(waiter.wake)
    try:
        waiter.park()
    finally:
        future.remove_done_callback(waiter.wake)


def _cancel(hub: Hub, future: Future[Any]) -> None:
    # Wait until its finally clauses have run, as for a green thread's own code. A second exception ends this wait.
    if future.cancel():
        _park(hub, future)
        if not future.cancelled() and (error := future.exception()) is not None:
            hub.tell_error(error)


def _told(future: Future[Any]) -> str:
    get_name = getattr(future, "get_name", None)
    return repr(future) if get_name is None else get_name()


__all__ = ["spawn_for_awaitable", "wait_for_awaitable"]
