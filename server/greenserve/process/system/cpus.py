"""How many workers `auto` stands for: the CPUs that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

__all__ = ["usable_cpus"]

_CGROUP: Final = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """Return the number of CPUs by affinity and by the quota of the container, at least 1."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(count, math.ceil(quota)) if quota else count)


def _quota(cgroup: Path) -> float:
    """Return the quota in CPUs; 0 for none."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()  # cgroup v2
    except (OSError, ValueError):
        try:  # v1
            limit = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return 0.0
    try:
        return max(0.0, int(limit) / int(period))
    except (ValueError, ZeroDivisionError):  # "max"
        return 0.0
