"""signal for a patched program: handlers belong to the main green thread, as they belong to the main thread.

Facts: Python calls a handler between two bytecodes of the main OS thread, whoever runs there: the main green thread,
another one, or the hub while it waits. Decision: interrupting the main green thread it is a plain call, as ever.
Interrupting any other it runs at once too, in a green thread of its own, so that it may wait; what it raises is raised
in the main green thread, in the hub's next turn. Ctrl-C, while the last one could not be delivered yet (somebody holds
the hub), is raised in whoever runs.

sigwait and its kin stop the OS thread, as they are made to.
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
    """What C calls in place of a user's handler."""

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
                hub.call_from_thread(
                    _ring
                )  # the kernel's wait is resumed after this: end it, for what we have woken
            return
        # If the handler waits, who was interrupted goes on in the next turn.
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
            hub.ready.appendleft(
                (self._deliver, (hub, error))
            )  # before anything that it may be meant to interrupt

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
    """As signal.signal. Switches: never."""
    return _theirs(signal.signal(signalnum, _ours(handler)))


def getsignal(signalnum: int) -> Any:
    """As signal.getsignal. Switches: never."""
    return _theirs(signal.getsignal(signalnum))


def pause() -> None:
    """As signal.pause: wait until a handler was called. Switches: always."""
    hub = find_hub()
    if hub is None:
        signal.pause()
        return
    with hub.door_in_use():
        _paused.park("a signal")


def pthread_kill(thread_id: int, signalnum: int, /) -> None:
    """As signal.pthread_kill; a green thread stands for its OS thread. Switches: never."""
    import sys

    hub = find_hub()
    if hub is not None and thread_id not in sys._current_frames():
        thread_id = hub.thread_id  # the C library would take a number that is no OS thread's for an address
    signal.pthread_kill(thread_id, signalnum)


_masks_of_main: dict[
    Hub, set[Any]
] = {}  # of OS threads that have the mask of another green thread at this moment
_forked: greenlet | None = None  # in a child: whom it has instead of the main green thread


def pthread_sigmask(how: int, mask: Iterable[int]) -> set[Any]:
    """As signal.pthread_sigmask. Switches: never.

    The OS thread has the mask of its main green thread. That of another, which may block all signals for itself, holds
    until it gives way: for what it starts up to then.
    """
    hub = find_hub()
    green = getcurrent()
    if hub is None or green in (hub.main, hub.greenlet, _forked) or type(green) is SignalBody:
        return signal.pthread_sigmask(how, mask)
    numbers = set(mask)
    real = signal.pthread_sigmask(how, numbers)  # which raises what there is to raise
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
    """As signal.set_wakeup_fd; without one of the program's, the hub's own is in place. Switches: never."""
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
    """Wrap the handlers that are set already, and have signals end the hub's wait. Switches: never.

    In the main OS thread; elsewhere signals are not ours to take.
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
    """Take a wake-up descriptor of its own in the child of a fork: the parent reads the other."""
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
    """In a child that has the hub's wake-up descriptor again: the program has its own still, if it had one."""
    global _user_fd
    if _user_fd != -1:
        try:
            _Wakeup.hub_fd = signal.set_wakeup_fd(_user_fd, warn_on_full_buffer=_Wakeup.user_warns)
        except OSError:  # closed since
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
