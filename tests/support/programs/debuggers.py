"""Whether tests may look into other processes, as a debugger that attaches does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


def _hindrance() -> str:
    if sys.version_info < (3, 14):
        return "Python 3.14 brought sys.remote_exec(), and `python -m pdb -p`"
    if not sys.is_remote_debug_enabled():
        return "this Python was told not to let others attach"
    if os.geteuid() and _SCOPE.exists() and _SCOPE.read_text().strip() != "0":
        return "the kernel lets only root look into processes (ptrace_scope)"
    return ""


needs_attaching = pytest.mark.skipif(bool(_hindrance()), reason=_hindrance() or "-")
