"""PidFile: tells other programs the process id, and keeps a second server from the same file.

Facts: a pid file outlives a process that was killed, and its number may be another process by now. Decision: the file
is locked (flock) while the server runs. A file that nobody has locked is stale, whatever number it holds. Cost: the
lock belongs to every process that has the descriptor, so children close theirs.
"""

from __future__ import annotations

from greenserve.errors import ConfigError
from greenserve_hub.forks import leave_in_children
from greenserve_hub.unpatched import fcntl, os

__all__ = ["PidFile"]


class PidFile:
    """The pid file of this process."""

    def __init__(self, path: str, fd: int = -1) -> None:
        """Write and lock it; `fd` if the program before this one in the same process has. Raises ConfigError."""
        self.path = os.path.abspath(path)
        try:
            self.fd = fd if fd >= 0 else self._open()
            os.ftruncate(self.fd, 0)
            os.pwrite(self.fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise ConfigError(f"pid = {path!r}: can't be written: {error.strerror}") from None
        leave_in_children(self)

    def _open(self) -> int:
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
                os.close(fd)
                raise ConfigError(
                    f"pid = {self.path!r}: a server with this file runs already, as process {holder or '?'}; "
                    "stop it, or choose another file",
                    may_pass=True,
                ) from None
            except BaseException:
                os.close(fd)
                raise
            if self._is_at_path(fd):
                return fd
            os.close(fd)  # its owner has removed it in this moment

    def _is_at_path(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(fd))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Remove it, unless it is another one by now. Repeatable."""
        if self.fd >= 0:
            if self._is_at_path(self.fd):
                try:
                    os.unlink(self.path)
                except OSError:  # in a folder that this user may not change: say that nobody runs
                    os.ftruncate(self.fd, 0)
            self.leave_behind()

    def leave_behind(self) -> None:
        """In the child of a fork: give up the lock's copy."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
