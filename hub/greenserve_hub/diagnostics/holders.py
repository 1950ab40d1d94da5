"""Finds the green thread that runs in another OS thread, from the frames of its stack.

greenlet tells only the current green thread of the calling OS thread. Called by the watchdog, and by other code that
reports what blocks the hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType

from greenlet import greenlet

from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.origins import name_of


def holder_of(frame: FrameType) -> str:
    """Return the name in dumps of the green thread with this innermost frame; if unknown, its function."""
    *_, outermost = frames_of(frame)
    code = outermost.f_code
    if code is Hub._run.__code__:
        return "a callback of the hub"
    for name in ("self", "worker"):  # its variable in the functions that green threads begin with
        green = outermost.f_locals.get(name)
        if isinstance(green, greenlet):
            return name_of(green)
    return (
        "the main green thread"
        if code.co_qualname == "<module>"
        else f"the green thread of {code.co_qualname}()"
    )


def frames_of(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield this frame, its caller, and so on."""
    while frame is not None:
        yield frame
        frame = frame.f_back
