"""Who runs in an OS thread that another one looks at: told by the frames of its stack.

greenlet tells the current green thread of its own OS thread only. Called by the watchdog, and by whoever has to say
what holds the hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType

from greenlet import greenlet

from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.origins import name_of


def holder_of(frame: FrameType) -> str:
    """What dumps call the green thread whose innermost frame this is; where that is unknown, by its function."""
    *_, outermost = frames_of(frame)
    code = outermost.f_code
    if code is Hub._run.__code__:
        return "a callback of the hub"
    for name in ("self", "worker"):  # what the functions that green threads begin with call them
        green = outermost.f_locals.get(name)
        if isinstance(green, greenlet):
            return name_of(green)
    return (
        "the main green thread"
        if code.co_qualname == "<module>"
        else f"the green thread of {code.co_qualname}()"
    )


def frames_of(frame: FrameType | None) -> Iterator[FrameType]:
    """This one, the one that called it, and so on."""
    while frame is not None:
        yield frame
        frame = frame.f_back
