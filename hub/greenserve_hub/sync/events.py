"""Event: one result, or one exception, from one green thread to any number of others.

Stands on WaitQueue. The sender never switches: those who wait go on in the hub's next turn, in the order in
which they came, with what was sent, even when the event was reset before they ran.
"""

from __future__ import annotations

from typing import Any

from greenlet import getcurrent

from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.parking import TIMED_OUT, Waiter, WaitQueue, waiters_of

_NOTHING = object()


class Event:
    """Sent once, waited for as often as one likes; `reset` makes it as good as new."""

    __slots__ = ("__weakref__", "_result", "_throw", "_waiters")

    def __init__(self) -> None:
        """Nothing sent yet."""
        self._result: Any = _NOTHING
        # What was sent as an exception, as `raise` or throw() takes it.
        self._throw: tuple[Any, ...] | None = None
        # Made when somebody waits: most events are looked at only after the fact.
        self._waiters: WaitQueue | None = None

    def __repr__(self) -> str:
        """As it stands in dumps."""
        state = (
            "nothing sent"
            if self._result is _NOTHING
            else f"result={self._result!r} exception={self._throw!r}"
        )
        waiting = 0 if self._waiters is None else len(self._waiters)
        return f"<Event at {id(self):#x} {state} waiting={waiting}>"

    def send(self, result: Any = None, exc: Any = None) -> None:
        """Wake all who wait, with `result`, or with `exc` raised: an exception or a tuple of what `throw` takes.

        AssertionError when it was sent before and not reset. Switches: never.
        """
        if self._result is not _NOTHING:
            raise AssertionError(f"sent a second time without a reset: {self!r}")
        throw = exc if exc is None or isinstance(exc, tuple) else (exc,)
        self._result = result
        self._throw = throw
        if self._waiters is not None:
            self._waiters.wake_all((result, throw))

    def send_exception(self, *throw_args: Any) -> None:
        """Wake all who wait with an exception raised, given as `throw` takes it.

        AssertionError as in send(). Switches: never.
        """
        self.send(None, throw_args)

    def wait(self, timeout: float | None = None) -> Any:
        """The result, or the exception raised; None after `timeout` seconds. Switches: until it was sent."""
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
        """Whether it was sent. Switches: never."""
        return self._result is not _NOTHING

    def has_result(self) -> bool:
        """Whether a result was sent. Switches: never."""
        return self._result is not _NOTHING and self._throw is None

    def has_exception(self) -> bool:
        """Whether an exception was sent. Switches: never."""
        return self._throw is not None

    def poll(self, notready: Any = None) -> Any:
        """What wait() would give, or `notready` instead of waiting. Switches: never."""
        return self.wait() if self.ready() else notready

    def poll_result(self, notready: Any = None) -> Any:
        """The result if one was sent, else `notready`. Switches: never."""
        return self.wait() if self.has_result() else notready

    def poll_exception(self, notready: Any = None) -> Any:
        """The exception raised if one was sent, else `notready`. Switches: never."""
        return self.wait() if self.has_exception() else notready

    def reset(self) -> None:
        """Make it ready to be sent again; AssertionError when it is. Switches: never."""
        if self._result is _NOTHING:
            raise AssertionError(f"a reset without a send: {self!r}")
        self._result = _NOTHING
        self._throw = None
