"""Watchdog: an OS thread that tells of a green thread which holds the hub.

Facts: green threads give way where they wait, and nowhere else. One that computes, or calls what blocks, stops all the
others of its OS thread, and nothing inside that thread can notice. Decision: an OS thread looks a few times within the
threshold whether the hub's turn and the green thread that runs in it are still the same; it reads, and never raises
anything in another thread. Cost: some twenty looks a second at the default threshold.
"""

from __future__ import annotations

import _thread
import sys
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType

from greenserve_hub.loop import Hub, get_hub

_LOOKS = 4  # within the threshold


class Watchdog:
    """Watches one hub while it is open: a context manager, or start() and stop()."""

    def __init__(
        self, report: Callable[[float, str], object], threshold: float = 0.1, hub: Hub | None = None
    ) -> None:
        """`report(seconds, stack)` is called in the watchdog's OS thread, once for each time the hub is held longer.

        `threshold` in seconds; `hub`: the current OS thread's unless given.
        """
        if threshold <= 0:
            raise ValueError(f"a threshold is a time in seconds, not {threshold}")
        self._report = report
        self._threshold = threshold
        self._hub = get_hub() if hub is None else hub
        self._stop = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()

    def start(self) -> None:
        """Begin to watch. Switches: never."""
        self._stop.acquire()
        self._ended.acquire()
        _thread.start_new_thread(self._watch, ())

    def stop(self) -> None:
        """End the OS thread and wait until it has. Switches: never."""
        self._stop.release()
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

    def _watch(self) -> None:
        hub = self._hub
        clock = hub.clock
        turn, runner, since, told = 0.0, 0, 0.0, False
        while not self._stop.acquire(timeout=self._threshold / _LOOKS):
            frame = None if hub.waiting or hub.closed else sys._current_frames().get(hub.thread_id)
            if frame is None:
                turn = 0.0
                continue
            now, lowest = clock(), _lowest(frame)
            if hub.now != turn or lowest != runner:
                # The first look at a turn knows when that began; another green thread in it began between two looks.
                since = hub.now if hub.now != turn else now
                turn, runner, told = hub.now, lowest, False
            if not told and now - since >= self._threshold:
                told = True
                self._tell(now - since, frame)
        self._stop.release()
        self._ended.release()

    def _tell(self, seconds: float, frame: FrameType) -> None:
        try:
            self._report(seconds, "".join(traceback.format_stack(frame)))
        except Exception:
            sys.excepthook(*sys.exc_info())


def _lowest(frame: FrameType) -> int:
    """Tells one green thread's run from another's: the frame that it began with."""
    while frame.f_back is not None:
        frame = frame.f_back
    return id(frame)
