"""Signal handlers of a process that forks: a child has none of its parent's, from its first instruction on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from greenserve_hub.unpatched import os, signal

__all__ = ["fork_without_handlers", "handling"]


@contextmanager
def handling(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], object]]) -> Iterator[None]:
    """Handle signals in a block. In the main thread."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)


def fork_without_handlers(numbers: Collection[int]) -> int:
    """Fork. In the child these signals have their default actions, and none is lost. Raises OSError."""
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)  # or a handler of the parent runs in the child
    try:
        pid = os.fork()
        if pid == 0:
            for number in numbers:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
