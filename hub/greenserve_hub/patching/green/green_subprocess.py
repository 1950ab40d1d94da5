"""subprocess for a patched program: its pipes are green, and it waits for a child's end without polling.

Popen itself stays. subprocess.py opens the parent's ends of the pipes by `io.open`, so that module gets its own `io`.
Popen._wait is replaced: it waits green for the exit, and then calls the original for the lock and the exit status.
"""

from __future__ import annotations

import io
import subprocess
from types import ModuleType
from typing import Any

from greenserve_hub.greenio import files
from greenserve_hub.greenio.children import wait_for_exit
from greenserve_hub.loop.current import find_hub
from greenserve_hub.patching.stdlib.versions import POPEN_WAIT, popen_wait


def _wait(self: subprocess.Popen[Any], timeout: float | None) -> int:
    hub = find_hub()
    if hub is not None and self.returncode is None and (timeout is None or timeout > 0):
        try:
            if not wait_for_exit(hub, self.pid, timeout):
                assert timeout is not None
                raise subprocess.TimeoutExpired(self.args, timeout)
        except (ProcessLookupError, ChildProcessError):
            pass  # other code has taken its status, a case that Popen handles
        else:
            timeout = None
    returncode: int = popen_wait(self, timeout)
    return returncode


_io = ModuleType("io", io.__doc__)
_io.__dict__.update(vars(io), open=files.open_pipe)

REPLACED: dict[str, dict[str, Any]] = {"subprocess": {"io": _io}}
ON_CLASSES: list[tuple[type, str, Any]] = [(subprocess.Popen, POPEN_WAIT, _wait)]
