"""Watchdog: an OS thread that reports a green thread which blocks the hub, and again while that lasts.

Facts: green threads switch only where they wait. One that computes, or makes a blocking call, stops all others of its
OS thread, and nothing inside that OS thread can notice. Decision: another OS thread looks twice per threshold at the
state of the hub's turn, and once more when the threshold has passed. It reads state that the hub has anyway, and raises
nothing in other threads. A hold that lasts is reported again after 1 s, 10 s, and so on, because the first report may
be one of many. Cost: twenty looks per second at the default threshold. A hold that ends before its report, or in C code
that keeps the GIL, is reported late or not at all.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from operator import length_hint
from types import FrameType, TracebackType

from greenserve_hub.diagnostics.holders import holder_of
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub, print_error
from greenserve_hub.loop.origins import stack_of
from greenserve_hub.unpatched import _thread, os

Place = tuple[float, int, int, int, int]


def print_hold(seconds: float, stack: str) -> None:
    """Report a hold on stderr."""
    sys.stderr.write(f"a green thread has held the hub for {seconds:.3f} s so far:\n{stack}")


class Watchdog:
    """Watches one hub; a context manager, or start() and stop()."""

    def __init__(
        self,
        report: Callable[[float, str], object] = print_hold,
        threshold: float = 0.1,
        hub: Hub | None = None,
        who: Callable[[FrameType], str] = holder_of,
    ) -> None:
        """Call `report(seconds, stack)` in the watchdog's OS thread when the hub is blocked for `threshold` seconds.

        It is called again when the same hold has lasted for 1 s, 10 s, and so on. `stack` begins with a line that names
        the green thread; `who(frame)` finds the name. `hub`: the one of the current OS thread unless given.
        """
        if threshold <= 0:
            raise ValueError(f"a threshold is a positive number of seconds, not {threshold}")
        self._report = report
        self._threshold = threshold
        self._hub = get_hub() if hub is None else hub
        self._who = who
        self._stop = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()

    def start(self) -> None:
        """Start to watch. Switches: never."""
        self._stop.acquire()
        self._ended.acquire()
        self._process = os.getpid()
        _thread.start_new_thread(self._watch, (self._hub.clock(),))

    def stop(self) -> None:
        """End the OS thread and wait for its end. Switches: never."""
        self._stop.release()
        if (
            os.getpid() == self._process
        ):  # otherwise this is the child of a fork, which does not have the thread
            self._ended.acquire()
        self._ended.release()

    def __enter__(self) -> Watchdog:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _watch(self, began: float) -> None:
        hub, threshold = self._hub, self._threshold
        last: Place | None = None
        since, patience = began, threshold
        pause = threshold / 2
        while not self._stop.acquire(timeout=pause):
            pause = threshold / 2
            frame = None if hub.waiting else sys._current_frames().get(hub.thread_id)
            if frame is None:
                last = None
                continue
            now, place = hub.clock(), _place(hub, frame)
            if place != last:
                # A new turn tells when it began; a new step of the same turn began between two looks.
                is_new_turn = last is None or last[0] != place[0]
                since = max(place[0], began) if is_new_turn else now
                last, patience = place, threshold
            if now < since + patience:
                pause = min(pause, since + patience - now)
            else:
                patience = max(1.0, 10.0 ** (math.floor(math.log10(now - since)) + 1))
                stack = f"{self._who(frame)}\n{stack_of(frame)}"
                del frame  # its objects must not live until the next look, and be freed in this OS thread
                self._tell(now - since, stack)
            frame = None
        self._stop.release()
        self._ended.release()

    def _tell(self, seconds: float, stack: str) -> None:
        try:
            self._report(seconds, stack)
        except Exception:
            print_error(*sys.exc_info())


def _place(hub: Hub, frame: FrameType) -> Place:
    """Identify one run of a green thread or callback: by the rest of the turn, and its outermost frame."""
    while frame.f_back is not None:
        frame = frame.f_back
    return hub.now, hub.left, length_hint(hub.steps), len(hub.deadlines.heap), id(frame)
