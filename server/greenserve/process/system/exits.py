"""Why a process has ended, in words, from its wait status and from what the kernel counts."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Final

__all__ = ["how_it_ended", "kills_for_memory"]

_EVENTS: Final = Path("/sys/fs/cgroup/memory.events")  # of cgroup v2, the container's own


def kills_for_memory(events: Path = _EVENTS) -> int:
    """Return how many processes of this container the kernel has killed for want of memory; 0 if it does not say."""
    try:
        found = re.search(r"^oom_kill (\d+)$", events.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def how_it_ended(status: int, killed_for_memory: bool = False) -> str:
    """Return the predicate for a wait status, as of os.waitpid(): `was killed by SIGKILL, …`."""
    if os.WIFEXITED(status):
        return f"ended with exit code {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = f"signal {number}"
    if number != signal.SIGKILL:
        return f"was killed by {name}"
    if killed_for_memory:
        return "was killed by SIGKILL: the kernel did it, since the memory of the container is used up (OOM)"
    return "was killed by SIGKILL, by somebody or, if memory was short, by the kernel (see dmesg)"
