"""Why a process has ended, in words, from its wait status and from what the kernel counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from greenserve_hub.unpatched import os, signal

__all__ = ["how_it_ended", "kills_for_memory", "reap_strangers"]

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


def reap_strangers(own: set[int]) -> None:
    """As process 1: wait for what others have left behind, which would stay in the table of processes for ever.

    `own` are processes that the caller waits for itself. Switches: never.
    """
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid in own:  # one that has ended since: another SIGCHLD comes for it
            return
        os.waitpid(found.si_pid, 0)
