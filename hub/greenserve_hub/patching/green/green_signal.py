"""signal for a patched program: handlers belong to the main green thread, as they belong to the main thread.

Facts: Python calls a handler between two bytecodes of the main OS thread, where the main green thread may run, another
one, or the waiting hub. Decision: if the handler interrupts the main green thread, it is a plain call, as usual. If it
interrupts another one, it also runs at once, but in its own green thread, so that it may wait; an exception that it
raises is raised in the main green thread in the hub's next turn. If a Ctrl-C is still undelivered because a green
thread blocks the hub, the next Ctrl-C is raised in that green thread.

sigwait and similar functions block the OS thread, as designed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from types import FrameType
from typing import Any

from greenlet import getcurrent, greenlet

from greenserve_hub.forks import end_child, is_last
from greenserve_hub.loop.current import find_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.parking import Waiter, WaitQueue
from greenserve_hub.loop.signals import wake_on_signals
from greenserve_hub.patching.green.green_thread import SignalBody
from greenserve_hub.unpatched import _thread, signal

_paused = WaitQueue()


class _Handler:
    """Called by C instead of a user's handler."""

    __slots__ = ("_late", "handler")

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler
        self._late = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        hub = find_hub()
        if hub is None:
            self.handler(number, frame)
            return
        _paused.wake_all()
        current = getcurrent()
        if current is hub.main or (self._late and self.handler is signal.default_int_handler):
            self.handler(number, frame)
            return
        body = SignalBody(self._run, current)
        if current is hub.greenlet:
            try:
                body.switch(hub, number, frame)
            finally:
                # The kernel's wait is resumed after this: end it, for the green threads that we have woken.
                hub.call_from_thread(_ring)
            return
        # If the handler waits, the interrupted green thread continues in the next turn.
        waiter = Waiter(hub, "a signal handler")
        waiter.woken = True
        waiter.park(switch=partial(_lend, waiter, body, hub, number, frame))

    def _run(self, hub: Hub, number: int, frame: FrameType | None) -> None:
        try:
            self.handler(number, frame)
        except BaseException as error:
            if is_last():
                end_child(error)
            self._late = True
            # First in the next turn, before green threads that it may be meant to interrupt.
            hub.ready.appendleft((self._deliver, (hub, error)))

    def _deliver(self, hub: Hub, error: BaseException) -> None:
        self._late = False
        hub.main.throw(error)


def _lend(waiter: Waiter, body: SignalBody, hub: Hub, *args: object) -> None:
    try:
        body.switch(hub, *args)
    finally:
        if body.dead:
            waiter.end()
        else:
            body.parent = hub.greenlet


def _ring() -> None:
    pass


def _theirs(handler: Any) -> Any:
    return handler.handler if isinstance(handler, _Handler) else handler


def _ours(handler: Any) -> Any:
    return _Handler(handler) if callable(handler) and not isinstance(handler, signal.Handlers) else handler


def set_handler(signalnum: int, handler: Any) -> Any:
    """Like signal.signal. Switches: never."""
    return _theirs(signal.signal(signalnum, _ours(handler)))


def getsignal(signalnum: int) -> Any:
    """Like signal.getsignal. Switches: never."""
    return _theirs(signal.getsignal(signalnum))


def pause() -> None:
    """Like signal.pause: wait until a handler was called. Switches: always."""
    hub = find_hub()
    if hub is None:
        signal.pause()
        return
    with hub.expecting_calls():
        _paused.park("a signal")


def pthread_kill(thread_id: int, signalnum: int, /) -> None:
    """Like signal.pthread_kill; for a green thread the signal goes to its OS thread. Switches: never."""
    import sys

    hub = find_hub()
    if hub is not None and thread_id not in sys._current_frames():
        thread_id = hub.thread_id  # the C library would use the number of a green thread as an address
    signal.pthread_kill(thread_id, signalnum)


# The main green thread's mask, while the OS thread has that of another green thread.
_masks_of_main: dict[Hub, set[Any]] = {}
_forked: greenlet | None = None  # in a child: the green thread that forked, which is its main one


def pthread_sigmask(how: int, mask: Iterable[int]) -> set[Any]:
    """Like signal.pthread_sigmask. Switches: never.

    The OS thread has the mask of its main green thread. The mask of another one, which may block all signals for
    itself, is valid until it switches: for the threads and processes that it starts until then.
    """
    hub = find_hub()
    green = getcurrent()
    if hub is None or green in (hub.main, hub.greenlet, _forked) or type(green) is SignalBody:
        return signal.pthread_sigmask(how, mask)
    numbers = set(mask)
    real = signal.pthread_sigmask(how, numbers)  # raises the standard errors
    if hub not in _masks_of_main:
        _masks_of_main[hub] = real
        hub.call_soon(_unmask, hub)
    own = green.__dict__
    before: set[Any] = own.get("_signal_mask", _masks_of_main[hub])
    changed: dict[int, set[Any]] = {signal.SIG_BLOCK: before | numbers, signal.SIG_UNBLOCK: before - numbers}
    own["_signal_mask"] = after = changed.get(how, numbers)
    signal.pthread_sigmask(signal.SIG_SETMASK, after)
    return before


def _unmask(hub: Hub) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks_of_main.pop(hub))


_waking = ExitStack()
_user_fd = -1


def set_wakeup_fd(fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
    """Like signal.set_wakeup_fd; while the program has none, the hub's is set. Switches: never."""
    global _user_fd
    ours = signal.set_wakeup_fd(fd, warn_on_full_buffer=warn_on_full_buffer)
    if _user_fd == -1:
        _Wakeup.hub_fd = ours
    if fd == -1:
        signal.set_wakeup_fd(_Wakeup.hub_fd, warn_on_full_buffer=False)
    _Wakeup.user_warns = warn_on_full_buffer
    before, _user_fd = _user_fd, fd
    return before


class _Wakeup:
    hub_fd = -1
    user_warns = True


def take_over() -> None:
    """Wrap the handlers that are set already, and make signals end the hub's wait. Switches: never.

    Only in the main OS thread: Python allows it nowhere else.
    """
    hub = find_hub()
    with suppress(ValueError):
        for number in signal.valid_signals():
            handler = signal.getsignal(number)
            if callable(handler) and not isinstance(handler, (_Handler, signal.Handlers)):
                signal.signal(number, _Handler(handler))
        if hub is not None and _thread.get_ident() == hub.thread_id:
            _waking.enter_context(wake_on_signals(hub))


def after_fork() -> None:
    """Make a new wakeup descriptor in the child of a fork: the parent reads the old one."""
    global _forked
    _forked = getcurrent()
    _masks_of_main.clear()
    hub = find_hub()
    if hub is not None:
        _waking.close()
        with suppress(ValueError):
            _waking.enter_context(wake_on_signals(hub))
            _give_back_wakeup()


def _give_back_wakeup() -> None:
    """In a child, set the program's own wakeup descriptor again, if it had one."""
    global _user_fd
    if _user_fd != -1:
        try:
            _Wakeup.hub_fd = signal.set_wakeup_fd(_user_fd, warn_on_full_buffer=_Wakeup.user_warns)
        except OSError:  # it was closed
            _user_fd = -1


REPLACED: dict[str, dict[str, Any]] = {
    "signal": {
        "getsignal": getsignal,
        "pause": pause,
        "pthread_kill": pthread_kill,
        "pthread_sigmask": pthread_sigmask,
        "set_wakeup_fd": set_wakeup_fd,
        "signal": set_handler,
    }
}
