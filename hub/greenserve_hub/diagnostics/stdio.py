"""sys.stdout, stderr, stdin and displayhook, each green thread's own where it has a console.

Facts: these four are the whole process's, and print() and the prompt of an interpreter look nowhere else. Decision:
while there is a console, each of them is a stand-in that asks a ContextVar whose it is, and hands on to what was there
before for everybody else. A green thread made by spawn(), and a call by threads.execute(), inherit it; spawn_n() and
reused workers begin with an empty context, and so with the process's. Who outlives the last console prints to the
process's again. Called by diagnostics/backdoors.py.

Invariant: with the last console gone, what was there before is there again, unless somebody has put something else
in its place meanwhile.
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
    """What stands in: a text file to read from and to write to, which shows values too."""

    def write(self, text: str) -> int:
        """Print. Switches: as it likes."""

    def readline(self) -> str:
        """The next line with its end, "" when there are no more. Switches: as it likes."""

    def display(self, value: object) -> None:
        """Show the value of an expression. Switches: as it likes."""


_current: ContextVar[Console | None] = ContextVar("console", default=None)
_lock = _thread.allocate_lock()
_consoles = 0


class _Stream:
    """Stands in for one of the three."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(_current.get() or self.original, name)

    def __iter__(self) -> Iterator[str]:
        return iter((_current.get() or self.original).readline, "")

    def write(self, text: str) -> int:
        target = _current.get() or self.original
        return 0 if target is None else target.write(text)  # None: a program that was started without


class _DisplayHook:
    """Stands in for sys.displayhook."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def __call__(self, value: object) -> None:
        console = _current.get()
        (self.original if console is None else console.display)(value)


@contextmanager
def use_console(console: Console) -> Iterator[None]:
    """While inside, the current green thread and those that it spawns talk to `console`."""
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
    """See to it that the stand-ins are there, also when somebody has put something else in their place since."""
    with _lock:
        for name in _STREAMS:
            if not isinstance(getattr(sys, name), _Stream):
                setattr(sys, name, _Stream(getattr(sys, name)))
        if not isinstance(sys.displayhook, _DisplayHook):
            sys.displayhook = _DisplayHook(sys.displayhook)
