"""eventlet.lock: a semaphore of one, whose second release() is an error."""

from __future__ import annotations

from typing import Any

from greenserve_hub import Semaphore


class Lock(Semaphore):
    """A lock as eventlet has it: it takes a value, has a counter, and any green thread may release it."""

    def release(self, *ignored: Any) -> bool:
        """Release it. RuntimeError if it is not held. Switches: never."""
        if self.counter > 0:
            raise RuntimeError("release unlocked lock")
        return super().release()

    def _at_fork_reinit(self) -> None:
        self.__init__(1)  # type: ignore[misc]  # as threading's locks: the child's is free, and has no waiters


__all__ = ["Lock"]
