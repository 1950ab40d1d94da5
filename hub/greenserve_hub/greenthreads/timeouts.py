"""Timeout: an exception that is raised in a green thread after some seconds, wherever it waits then.

Uses the hub's deadlines. Used as a context manager, by with_timeout, or directly with start and cancel. It knows no
socket: timeouts of single calls are arguments of these calls.

Invariant: a Timeout reaches only the call that armed it. `generation` shows that a pool's green thread has begun
another job.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from greenlet import getcurrent, greenlet

from greenserve_hub.deadlines import Deadline
from greenserve_hub.errors import HubError
from greenserve_hub.keywords import BY_NAME, take_named
from greenserve_hub.loop.current import get_hub

P = ParamSpec("P")
T = TypeVar("T")

_MISSING = object()


class Timeout(BaseException):
    """Raised in the current green thread after `seconds`, unless cancelled. Armed when it is made.

    `exception`: None or True raises the Timeout itself, an exception is raised instead of it, False ends a `with` block
    without an exception. `seconds` None never fires; 0 or less fires in the next turn. Switches: never.
    """

    def __init__(
        self,
        seconds: float | None = None,
        exception: BaseException | type[BaseException] | bool | None = None,
    ) -> None:
        """Arm it at once."""
        super().__init__()
        self.seconds = seconds
        self.exception = exception
        self._deadline: Deadline | None = None
        self.start()

    def start(self) -> None:
        """Arm it again after cancel(). HubError if it is armed already."""
        if self._deadline is not None:
            raise HubError(f"{self!r} is armed already: cancel() it first, or make another")
        if self.seconds is None:
            return
        hub = get_hub()
        current = getcurrent()
        if current is hub.greenlet:
            raise HubError("a Timeout cannot be armed in the hub, where nothing waits")
        generation = getattr(current, "generation", 0)
        self._deadline = hub.call_after(max(0.0, self.seconds), self._fire, current, generation)

    def _fire(self, green: greenlet, generation: int) -> None:
        self._deadline = None
        if not green.dead and getattr(green, "generation", 0) == generation:
            if self.exception is None or isinstance(self.exception, bool):
                green.throw(self)
            else:
                green.throw(self.exception)

    @property
    def pending(self) -> bool:
        """True while it is armed and has not fired."""
        return self._deadline is not None

    def cancel(self) -> None:
        """Disarm it; repeatable. Switches: never."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def __enter__(self) -> Timeout:
        """Arm it again if it was cancelled."""
        if self._deadline is None and self.seconds is not None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Disarm it; suppress this Timeout if it was made with exception=False."""
        self.cancel()
        return error is self and self.exception is False

    def __str__(self) -> str:
        """Return the time."""
        return "" if self.seconds is None else f"{self.seconds} s"

    is_timeout = True


def with_timeout(
    seconds: float | None = BY_NAME,
    fn: Callable[..., Any] = BY_NAME,
    /,
    *args: Any,
    timeout_value: Any = _MISSING,
    **kwargs: Any,
) -> Any:
    """Call `fn`, or `function=`, and interrupt it with a Timeout after `seconds`. Switches: as `fn` does.

    With `timeout_value`, return it instead of raising. A Timeout that `fn` armed itself is always raised.
    """
    if fn is BY_NAME:
        if seconds is BY_NAME:
            seconds = take_named(kwargs, "seconds")
        fn = take_named(kwargs, "function", "fn")
    timeout = Timeout(seconds)
    try:
        return fn(*args, **kwargs)
    except Timeout as error:
        if error is timeout and timeout_value is not _MISSING:
            return timeout_value
        raise
    finally:
        timeout.cancel()


def is_timeout(error: object) -> bool:
    """Return True for an exception that reports a timeout: ours, TimeoutError, or one with `is_timeout`."""
    return bool(isinstance(error, builtins.TimeoutError) or getattr(error, "is_timeout", False))


def wrap_is_timeout(fn: Callable[P, T]) -> Callable[P, T]:
    """Mark the exceptions (or their class) that `fn` returns, so that is_timeout() returns True for them."""

    @wraps(fn)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        result = fn(*args, **kwargs)
        result.is_timeout = True  # type: ignore[attr-defined]  # the caller's objects must have attributes
        return result

    return wrapped
