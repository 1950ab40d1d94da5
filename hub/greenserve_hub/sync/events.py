"""Event: sends one result, or one exception, to any number of green threads.

Uses WaitQueue. The sender never switches. The waiters continue in the hub's next turn, in the order in which they came,
with the result that was sent, even if the event was reset before they run.
"""

from __future__ import annotations

from typing import Any

from greenlet import getcurrent

from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.parking import TIMED_OUT, Waiter, WaitQueue, waiters_of

_NOTHING = object()


class Event:
    """Sent once, and waited for any number of times. `reset` prepares it for the next send."""

    __slots__ = ("__weakref__", "_result", "_throw", "_waiters")

    def __init__(self) -> None:
        """Nothing is sent yet."""
        self._result: Any = _NOTHING
        # The exception that was sent, as the arguments of throw().
        self._throw: tuple[Any, ...] | None = None
        # Made on the first wait: most events are read only after they were sent.
        self._waiters: WaitQueue | None = None

    def __repr__(self) -> str:
        """Return the text for dumps."""
        state = (
            "nothing sent"
            if self._result is _NOTHING
            else f"result={self._result!r} exception={self._throw!r}"
        )
        waiting = 0 if self._waiters is None else len(self._waiters)
        return f"<Event at {id(self):#x} {state} waiting={waiting}>"

    def send(self, result: Any = None, exc: Any = None) -> None:
        """Wake all waiters with `result`, or raise `exc` in them: an exception, or a tuple of arguments for `throw`.

        AssertionError if it was sent before and not reset. Switches: never.
        """
        if self._result is not _NOTHING:
            raise AssertionError(f"sent a second time without a reset: {self!r}")
        throw = exc if exc is None or isinstance(exc, tuple) else (exc,)
        self._result = result
        self._throw = throw
        if self._waiters is not None:
            self._waiters.wake_all((result, throw))

    def send_exception(self, *throw_args: Any) -> None:
        """Raise an exception in all waiters, given as the arguments of `throw`.

        AssertionError as in send(). Switches: never.
        """
        self.send(None, throw_args)

    def wait(self, timeout: float | None = None) -> Any:
        """Return the result, or raise the exception; None after `timeout` seconds. Switches: unless it was sent."""
        result, throw = self._result, self._throw
        if result is _NOTHING:
            waiters, waiter = waiters_of(self), Waiter(get_hub(), "event", self)
            result, throw = self._result, self._throw
            if result is _NOTHING:
                waiters.waiting[waiter] = None
                sent = waiters.park_in(waiter, timeout)
                if sent is TIMED_OUT:
                    return None
                result, throw = sent
        if throw is not None:
            getcurrent().throw(*throw)
        return result

    def ready(self) -> bool:
        """Return True if it was sent. Switches: never."""
        return self._result is not _NOTHING

    def has_result(self) -> bool:
        """Return True if a result was sent. Switches: never."""
        return self._result is not _NOTHING and self._throw is None

    def has_exception(self) -> bool:
        """Return True if an exception was sent. Switches: never."""
        return self._throw is not None

    def poll(self, notready: Any = None) -> Any:
        """Like wait(), but return `notready` instead of waiting. Switches: never."""
        return self.wait() if self.ready() else notready

    def poll_result(self, notready: Any = None) -> Any:
        """Return the result if one was sent, else `notready`. Switches: never."""
        return self.wait() if self.has_result() else notready

    def poll_exception(self, notready: Any = None) -> Any:
        """Raise the exception if one was sent, else return `notready`. Switches: never."""
        return self.wait() if self.has_exception() else notready

    def reset(self) -> None:
        """Prepare it to be sent again; AssertionError if nothing was sent. Switches: never."""
        if self._result is _NOTHING:
            raise AssertionError(f"a reset without a send: {self!r}")
        self._result = _NOTHING
        self._throw = None
