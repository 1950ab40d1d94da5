"""Green threads: spawn, wait for, link to and kill functions that run concurrently in one OS thread.

Uses loop/parking.py and the hub; knows no pool. A GreenThread is a greenlet with a result that others can wait for;
`spawn_n` makes a bare greenlet without a result. A spawned function never runs before the spawner waits.

Invariant: a GreenThread ends exactly once, with a result or an exception, even if it is killed before its first step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar, cast

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve_hub.deadlines import Deadline
from greenserve_hub.errors import HubError
from greenserve_hub.finalization import has_begun
from greenserve_hub.forks import is_last
from greenserve_hub.keywords import BY_NAME, take_named
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.origins import Origin, line_of, origin
from greenserve_hub.loop.parking import TIMED_OUT, Waiter, WaitQueue, waiters_of

P = ParamSpec("P")
T = TypeVar("T")

_PENDING = object()


class SpawnedGreenlet(greenlet):
    """The greenlet of spawn_n, with its origin. You may set its `name`, for dumps and errors."""

    __slots__ = ("origin",)

    origin: Origin


class GreenThread(greenlet, Generic[T]):
    """A running call of a function, made by spawn and similar. True while it is started and alive."""

    # Class attributes for the usual values: most green threads never set them.
    _value: Any = _PENDING
    _error: BaseException | None = None
    _waiters: WaitQueue | None = None
    _links: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] | None = None
    _following = False
    _start: Deadline | None = None
    name = ""  # for dumps and errors; you may set it

    def __init__(self, hub: Hub, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Not scheduled yet: use spawn()."""
        greenlet.__init__(self, None, hub.greenlet)  # cheaper than super()
        self.gr_context = copy_context()
        self._hub = hub
        self.origin = origin(hub.now, 3)
        self._call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] = (fn, args, kwargs)

    @property
    def spawned_at(self) -> str:
        """File and line of the call that spawned it."""
        return line_of(self.origin)

    @property
    def age(self) -> float:
        """Seconds since the turn in which it was spawned."""
        return self._hub.clock() - self.origin[3]

    def run(self) -> None:
        """Run the function; for the hub only."""
        if self._ended:
            return  # killed or cancelled before its first step
        fn, args, kwargs = self._call
        del self._call
        try:
            self._value = fn(*args, **kwargs)
        except BaseException as error:
            self._error = error
            watched = bool(self._waiters or self._links)
            self._tell()
            if not watched or is_last() or isinstance(error, KeyboardInterrupt | SystemExit):
                raise  # to the hub, which reports errors that nothing waits for
            return
        if self._waiters is not None or self._links is not None:
            self._tell()

    def _run_here(self) -> None:
        # For GreenPool: the call runs in the current green thread, and this object only holds the result.
        fn, args, kwargs = self._call
        del self._call
        try:
            self._value = fn(*args, **kwargs)
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise  # others have thrown it into the green thread that runs the call
            self._hub.report_error()

    @property
    def _ended(self) -> bool:
        return self._value is not _PENDING or self._error is not None

    def _tell(self) -> None:
        if self._waiters is not None:
            self._waiters.wake_all()
        while self._links:
            try:
                self._follow_links()
            except Exception:
                self._hub.report_error()

    def _follow_links(self) -> None:
        # A link that is made by a link is called by the loop that runs already: no recursion.
        links = self._links
        if links and not self._following:
            self._following = True
            try:
                while links:
                    fn, args, kwargs = links.pop(0)
                    fn(self, *args, **kwargs)
            finally:
                self._following = False

    def wait(self, timeout: float | None = None) -> T:
        """Return its result or raise its exception; repeatable. Switches: unless it has ended.

        TimeoutError after `timeout` seconds. GreenletExit if it was killed.
        """
        if not self._ended:
            if getcurrent() is self:
                raise HubError("a green thread cannot wait for its own end")
            waiters, waiter = waiters_of(self), Waiter(get_hub(), "the end of", self)
            if self._value is _PENDING and self._error is None:
                waiters.waiting[waiter] = None
                if waiters.park_in(waiter, timeout) is TIMED_OUT:
                    raise TimeoutError(f"{self} has not ended within {timeout} s")
        if self._error is not None:
            raise self._error
        return cast(T, self._value)

    def __await__(self) -> Generator[Any, None, T]:
        """Return its result or raise its exception in a coroutine, on the asyncio hub. HubError elsewhere.

        As with a task: cancelling the coroutine kills the green thread, the coroutine then continues when it has ended,
        and a killed green thread raises CancelledError.
        """
        make_future = getattr(self._hub.poller, "make_future", None)
        if make_future is None:
            raise HubError(
                f"awaiting a green thread needs the asyncio hub, but its hub uses {self._hub.poller.name}: "
                'set GREENSERVE_HUB=asyncio, or call use_hub("asyncio") before anything else'
            )
        # From the hub, not inside the coroutine, which is still in its own step.
        future = make_future(partial(self._hub.call_soon, kill, self))
        self.link(_settle, future)
        return cast(T, (yield from future))

    def link(self, fn: Callable[..., object] = BY_NAME, /, *args: Any, **kwargs: Any) -> None:
        """Call `fn(this, *args, **kwargs)` in its own context when it ends; at once if it has ended.

        Switches: never.
        """
        if fn is BY_NAME:
            fn = take_named(kwargs, "func", "fn")
        if self._links is None:
            self._links = []
        self._links.append((fn, args, kwargs))
        if self._ended:
            self._follow_links()

    def unlink(self, fn: Callable[..., object] = BY_NAME, /, *args: Any, **kwargs: Any) -> bool:
        """Remove a link; return False if there was none. Switches: never."""
        if fn is BY_NAME:
            fn = take_named(kwargs, "func", "fn")
        try:
            (self._links or []).remove((fn, args, kwargs))
        except ValueError:
            return False
        return True

    def kill(self, *throw_args: Any) -> None:
        """Raise an exception in it, GreenletExit by default: see kill(). Switches: always, unless it is dead."""
        kill(self, *throw_args)

    def cancel(self, *throw_args: Any) -> None:
        """End it if it has not started yet; otherwise do nothing. Switches: never."""
        if not self and not self.dead and not self._ended:
            _end_unstarted(self, throw_args)

    def _end_unstarted(self, throw_args: tuple[Any, ...]) -> None:
        if self._start is not None:
            self._start.cancel()
        self._error = _to_error(throw_args)
        del self._call
        self._tell()


def _settle(green: GreenThread[Any], future: Any) -> None:
    error = green._error
    if future.done():
        return  # the hub was closed meanwhile
    if error is None:
        future.set_result(green._value)
    elif isinstance(error, GreenletExit | KeyboardInterrupt | SystemExit):
        # KeyboardInterrupt and SystemExit are raised in the main green thread already; a task would raise them again.
        future.was_ended()
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError(f"{green} raised {error!r}, which a coroutine cannot raise"))
    else:
        future.set_exception(error)


def _end_unstarted(green: greenlet, throw_args: tuple[Any, ...]) -> None:
    # Classes that must clean up when a green thread never runs have a method of this name.
    tidy = getattr(green, "_end_unstarted", None)
    if tidy is not None:
        tidy(throw_args)
    # A greenlet that dies before its first step switches to its parent, so that is the current one for this moment.
    parent = green.parent
    assert parent is not None
    green.parent = getcurrent()
    green.throw()
    green.parent = parent  # a switch() that is still queued falls through to it


def _to_error(throw_args: tuple[Any, ...]) -> BaseException:
    if not throw_args:
        return GreenletExit()
    error = throw_args[0] if len(throw_args) == 1 or throw_args[1] is None else throw_args[1]
    if isinstance(error, BaseException):
        return error
    if isinstance(error, type) and issubclass(error, BaseException):
        return error()
    return cast(BaseException, throw_args[0](error))  # the (type, value) form with a bare value


def spawn(fn: Callable[P, T] = BY_NAME, /, *args: P.args, **kwargs: P.kwargs) -> GreenThread[T]:
    """Run `fn`, or `func=`, in a new green thread, from the next turn on. Switches: never."""
    if fn is BY_NAME:
        fn = take_named(kwargs, "func", "fn")
    hub = get_hub()
    green: GreenThread[T] = GreenThread(hub, fn, args, kwargs)
    hub.ready.append((green.switch, ()))
    return green


def spawn_n(fn: Callable[P, object] = BY_NAME, /, *args: P.args, **kwargs: P.kwargs) -> greenlet:
    """Like spawn, with a bare greenlet: cheaper, without a result. Its errors go to the hub's `on_error`.

    Switches: never.
    """
    if fn is BY_NAME:
        fn = take_named(kwargs, "func", "fn")
    hub = get_hub()
    green = SpawnedGreenlet(partial(fn, **kwargs) if kwargs else fn, hub.greenlet)
    green.origin = origin(hub.now, 2)
    hub.ready.append((green.switch, args))
    return green


def spawn_after(
    seconds: float = BY_NAME, fn: Callable[P, T] = BY_NAME, /, *args: P.args, **kwargs: P.kwargs
) -> GreenThread[T]:
    """Like spawn, `seconds` later; until then cancel() prevents it. Switches: never."""
    if fn is BY_NAME:
        seconds, fn = _named(seconds, kwargs)
    hub = get_hub()
    green: GreenThread[T] = GreenThread(hub, fn, args, kwargs)
    green._start = hub.call_after(seconds, green.switch)
    return green


def spawn_after_local(
    seconds: float = BY_NAME, fn: Callable[P, T] = BY_NAME, /, *args: P.args, **kwargs: P.kwargs
) -> GreenThread[T]:
    """Like spawn_after, unless the calling green thread is dead by then. Switches: never."""
    if fn is BY_NAME:
        seconds, fn = _named(seconds, kwargs)
    hub = get_hub()
    green: GreenThread[T] = GreenThread(hub, fn, args, kwargs)
    spawner = getcurrent()

    def start() -> None:
        if spawner.dead:
            green.cancel()
        else:
            green.switch()

    green._start = hub.call_after(seconds, start)
    return green


def _named(seconds: float, kwargs: dict[str, Any]) -> tuple[float, Callable[..., Any]]:
    if seconds is BY_NAME:
        seconds = take_named(kwargs, "seconds")
    return seconds, take_named(kwargs, "func", "fn")


def kill(green: greenlet, *throw_args: Any) -> None:
    """Raise an exception in a green thread: GreenletExit, or the given one, as for `raise`.

    Switches: always, unless it is dead.

    When this returns, its except and finally clauses have run, or run until they wait. A green thread that has not
    started never runs, and its waiters get the exception. Nothing happens to a dead one.
    """
    if green.dead:
        return
    hub = get_hub()
    current = getcurrent()
    if green is current:
        raise _to_error(throw_args)
    if has_begun():
        green.parent = current  # not the hub, which never runs again
    if not green:
        if isinstance(green, GreenThread) and green._ended:
            return  # its call has run in another green thread: see GreenPool.spawn
        _end_unstarted(green, throw_args)
        sleep()
    elif current is hub.greenlet:
        green.throw(*throw_args)
    else:
        # Directly into it, because otherwise it could run another step before. It falls back to the hub.
        waiter = Waiter(hub, "the killing of", green)
        waiter.woken = True
        waiter.park(switch=partial(green.throw, *throw_args))


def sleep(seconds: float = 0) -> None:
    """Let other green threads run for at least `seconds`; 0 for one turn. Switches: always."""
    hub = get_hub()
    if seconds <= 0:
        if getcurrent() is hub.greenlet:
            return
        waiter = Waiter(hub, "its turn")
        waiter.woken = True
        waiter.park()
    else:
        Waiter(hub, "sleep", seconds).park(seconds)


__all__ = [
    "GreenThread",
    "GreenletExit",
    "getcurrent",
    "kill",
    "sleep",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_n",
]
