"""Spew: a trace function that prints each line before it runs, with the values of its names."""

from __future__ import annotations

import inspect
import linecache
import re
from types import FrameType
from typing import Any


class Spew:
    """For sys.settrace(); eventlet.debug.spew() sets it."""

    # Its repr is what eventlet's is: programs filter the output by it.
    __module__ = "eventlet.debug"

    def __init__(self, trace_names: list[str] | None = None, show_values: bool = True) -> None:
        """Print lines of all modules, or of `trace_names`."""
        self.trace_names = trace_names
        self.show_values = show_values

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Spew:
        """Print the line of `frame`, if the event is one."""
        if event != "line":
            return self
        name, line = _line_of(frame)
        if self.trace_names is not None and name not in self.trace_names:
            return self
        print(f"{name}:{frame.f_lineno}: {line.rstrip()}")
        if self.show_values:
            words = dict.fromkeys(re.split(r"\W+", line))
            known = [(word, names) for word in words for names in (frame.f_globals, frame.f_locals)]
            if values := [f"{word}={names[word]!r}" for word, names in known if word in names]:
                print("\t" + " ".join(values))
        return self


def _line_of(frame: FrameType) -> tuple[str, str]:
    if "__file__" in frame.f_globals:
        return frame.f_globals["__name__"], linecache.getline(frame.f_globals["__file__"], frame.f_lineno)
    try:
        lines, first = inspect.getsourcelines(frame)
        return "[unknown]", lines[frame.f_lineno - (first or 1)]
    except OSError:
        code = frame.f_code.co_name
        return "[unknown]", f"Unknown code named [{code}].  VM instruction #{frame.f_lasti}"


__all__ = ["Spew"]
