"""Watchdog: an OS thread that tells of a green thread which holds the hub, and again while it goes on.

Facts: green threads give way where they wait, and nowhere else. One that computes, or calls what blocks, stops all the
others of its OS thread, and nothing inside that thread can notice. Decision: an OS thread looks twice within the
threshold at where the hub's turn is, and once more when the threshold is over if it is still there; it reads what the
hub keeps for itself anyway, and never raises anything in another thread. A hold that lasts is told of again after 1 s,
10 s, and so on, for the first line may be one of many. Cost: twenty looks a second at the default
threshold; a hold that ends before it is told of, or one inside C code that keeps the interpreter's lock, is told of
late or not at all.
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
    """Tell of a hold on stderr."""
    sys.stderr.write(f"a green thread has held the hub for {seconds:.3f} s so far:\n{stack}")


class Watchdog:
    """Watches one hub while it is open: a context manager, or start() and stop()."""

    def __init__(
        self,
        report: Callable[[float, str], object] = print_hold,
        threshold: float = 0.1,
        hub: Hub | None = None,
        who: Callable[[FrameType], str] = holder_of,
    ) -> None:
        """`report(seconds, stack)` is called in the watchdog's OS thread each time the hub is held longer.

        `threshold` in seconds; it is called again when the same hold has lasted for 1 s, for 10 s, and so on. `stack`
        begins with a line that says who it is, which `who(frame)` finds out. `hub`: the current OS thread's unless
        given.
        """
        if threshold <= 0:
            raise ValueError(f"a threshold is a time in seconds, not {threshold}")
        self._report = report
        self._threshold = threshold
        self._hub = get_hub() if hub is None else hub
        self._who = who
        self._stop = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()

    def start(self) -> None:
        """Begin to watch. Switches: never."""
        self._stop.acquire()
        self._ended.acquire()
        self._process = os.getpid()
        _thread.start_new_thread(self._watch, (self._hub.clock(),))

    def stop(self) -> None:
        """End the OS thread and wait until it has. Switches: never."""
        self._stop.release()
        if os.getpid() == self._process:  # else the thread has not come along into this child
            self._ended.acquire()
        self._ended.release()

    def __enter__(self) -> Watchdog:
        """Begin."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
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
                # The first look at a turn knows when that began; another step of it began between two looks.
                is_new_turn = last is None or last[0] != place[0]
                since = max(place[0], began) if is_new_turn else now
                last, patience = place, threshold
            if now < since + patience:
                pause = min(pause, since + patience - now)
            else:
                patience = max(1.0, 10.0 ** (math.floor(math.log10(now - since)) + 1))
                stack = f"{self._who(frame)}\n{stack_of(frame)}"
                del frame  # what it holds must not live until the next look, and end in this OS thread
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
    """Tells one green thread's run, or one callback's, from the next: by what is left of the turn, and its stack."""
    while frame.f_back is not None:
        frame = frame.f_back
    return hub.now, hub.left, length_hint(hub.steps), len(hub.deadlines.heap), id(frame)
