"""subprocess for a patched program: its pipes are green, and it waits for a child's end without polling.

Popen itself stays. The parent's ends of the pipes are opened by `io.open` in subprocess.py, so that module gets an `io`
of its own; what waits is Popen._wait, which takes the lock and the exit status as it always did, once there is one.
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
            pass  # another has taken its status, which Popen knows how to deal with
        else:
            timeout = None
    returncode: int = popen_wait(self, timeout)
    return returncode


_io = ModuleType("io", io.__doc__)
_io.__dict__.update(vars(io), open=files.open_pipe)

REPLACED: dict[str, dict[str, Any]] = {"subprocess": {"io": _io}}
ON_CLASSES: list[tuple[type, str, Any]] = [(subprocess.Popen, POPEN_WAIT, _wait)]
