"""Waits for child processes: by pidfd if the system has it (Linux 5.3), otherwise in an OS thread. Never by polling.

Called by the patched os and subprocess. The native call takes the exit status, so the system decides which children are
meant.
"""

from __future__ import annotations

from typing import Any

from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import find_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.readiness import wait_readable
from greenserve_hub.osthreads.thread_pools import waiting
from greenserve_hub.unpatched import os


def wait_for_exit(hub: Hub, pid: int, timeout: float | None = None) -> bool:
    """Wait until the child has ended, without taking its exit status; False after `timeout` seconds.

    ProcessLookupError or ChildProcessError if there is no such child. Switches: unless it has ended.
    """
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):  # an old kernel, or a sandbox that forbids the call
        with Timeout(timeout, False):
            waiting.execute(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            return True
        return False
    descriptor = hub.open_descriptor(fd)
    try:
        wait_readable(descriptor, timeout)
    except TimeoutError:
        return False
    finally:
        descriptor.close()
        os.close(fd)
    return True


def waitpid(pid: int, options: int, /) -> tuple[int, int]:
    """Like os.waitpid. Switches: until the child has ended."""
    hub = find_hub()
    if hub is None or options & os.WNOHANG:
        return os.waitpid(pid, options)
    found = os.waitpid(pid, options | os.WNOHANG)
    if found[0]:
        return found
    if pid <= 0 or options:
        # For any child, or for a child that may stop and continue, only the call itself can wait.
        return waiting.execute(os.waitpid, pid, options)
    while not found[0]:
        wait_for_exit(hub, pid)
        found = os.waitpid(pid, os.WNOHANG)
    return found


def wait() -> tuple[int, int]:
    """Like os.wait. Switches: until a child has ended."""
    return waitpid(-1, 0)


def wait3(options: int) -> tuple[int, int, Any]:
    """Like os.wait3. Switches: until a child has ended."""
    return os.wait3(options) if options & os.WNOHANG else waiting.execute(os.wait3, options)


def wait4(pid: int, options: int) -> tuple[int, int, Any]:
    """Like os.wait4. Switches: until the child has ended."""
    return os.wait4(pid, options) if options & os.WNOHANG else waiting.execute(os.wait4, pid, options)


def waitid(idtype: int, id: int, options: int, /) -> Any:
    """Like os.waitid. Switches: until the child has ended."""
    if options & os.WNOHANG:
        return os.waitid(idtype, id, options)
    return waiting.execute(os.waitid, idtype, id, options)
