"""sys.stdout, stderr, stdin and displayhook of a console, for its green threads only.

Facts: these four belong to the whole process, and print() and an interpreter's prompt use nothing else. Decision: while
a console exists, each of the four is replaced by an object that asks a ContextVar for the console, and passes all other
calls on to the original. spawn() and threads.execute() inherit the console. spawn_n() and reused workers begin with an
empty context, and so use the process's own. A green thread that outlives the last console also does. Called by
diagnostics/backdoors.py.

Invariant: after the last console the originals are back, unless other code has replaced them meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol

from greenserve_hub.unpatched import _thread

_STREAMS: Final = ("stdin", "stdout", "stderr")


class Console(Protocol):
    """A text file for reading and writing, which also shows values. Its methods may switch."""

    def write(self, text: str) -> int:
        """Print."""

    def readline(self) -> str:
        """Return the next line with its line end, "" at the end of input."""

    def display(self, value: object) -> None:
        """Show the value of an expression."""


_current: ContextVar[Console | None] = ContextVar("console", default=None)
_lock = _thread.allocate_lock()
_consoles = 0


class _Stream:
    """Replaces one of the three streams."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(_current.get() or self.original, name)

    def __iter__(self) -> Iterator[str]:
        return iter((_current.get() or self.original).readline, "")

    def write(self, text: str) -> int:
        target = _current.get() or self.original
        return 0 if target is None else target.write(text)  # None: the program was started without stdout


class _DisplayHook:
    """Replaces sys.displayhook."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def __call__(self, value: object) -> None:
        console = _current.get()
        (self.original if console is None else console.display)(value)


@contextmanager
def use_console(console: Console) -> Iterator[None]:
    """In this block, the current green thread and those that it spawns use `console`."""
    global _consoles
    with _lock:
        _consoles += 1
    stand_in()
    before = _current.set(console)
    try:
        yield
    finally:
        _current.reset(before)
        with _lock:
            _consoles -= 1
            if not _consoles:
                for name in (*_STREAMS, "displayhook"):
                    standing_in = getattr(sys, name)
                    if isinstance(standing_in, _Stream | _DisplayHook):
                        setattr(sys, name, standing_in.original)


def stand_in() -> None:
    """Replace the streams and the displayhook, again if other code has changed them since."""
    with _lock:
        for name in _STREAMS:
            if not isinstance(getattr(sys, name), _Stream):
                setattr(sys, name, _Stream(getattr(sys, name)))
        if not isinstance(sys.displayhook, _DisplayHook):
            sys.displayhook = _DisplayHook(sys.displayhook)
