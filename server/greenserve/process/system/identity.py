"""The identity of a process: its user and groups, its title, and its end with the master."""

from __future__ import annotations

import contextlib
import ctypes
import grp
import pwd
import signal
import stat
from importlib import import_module
from typing import Final

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.logs.datagrams import parse_place
from greenserve.logs.files import MODE
from greenserve_hub.unpatched import os

__all__ = ["Account", "end_with_parent", "find_account", "own_logs", "set_title"]

_PR_SET_PDEATHSIG: Final = 1


class Account:
    """A user and the groups that a worker runs as."""

    def __init__(self, name: str, uid: int, gid: int, groups: list[int]) -> None:
        """`name` of the user, for HOME and the like; "" if only the group changes."""
        self.name = name
        self.uid = uid
        self.gid = gid
        self.groups = groups

    def enter(self) -> None:
        """Become it, for good. Raises ConfigError."""
        try:
            if os.geteuid() == 0:
                os.setgroups(self.groups)
            if self.gid != os.getegid():
                os.setgid(self.gid)
            if self.uid != os.geteuid():
                os.setuid(self.uid)
        except OSError as error:
            raise ConfigError(
                f"user, group: not allowed to become user {self.uid}, group {self.gid} ({error.strerror}); "
                "only root can change it: leave them out, or start as root"
            ) from None
        if not os.access(os.__file__, os.R_OK):
            raise ConfigError(
                f"user, group: user {self.name or self.uid} may not read Python's own files ({os.__file__}); "
                "install Python and greenserve where all users can read them, not in the home of root"
            )
        if self.name:
            os.environ["USER"] = os.environ["LOGNAME"] = self.name
            with contextlib.suppress(KeyError):
                os.environ["HOME"] = pwd.getpwuid(self.uid).pw_dir

    def own_socket(self, path: str) -> None:
        """Make the file of a unix socket its own, if this process is root. Raises nothing."""
        if os.geteuid() == 0:
            with contextlib.suppress(OSError):  # on a file system without owners
                os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def own_log(self, place: str) -> None:
        """Make the file of a log, and let it open that again after a rotation. `place` as in the settings.

        If this process is root. A link is not followed, or whoever may write to the folder could have any file.
        """
        if os.geteuid() != 0 or place in ("-", "off", "logging") or parse_place(place) is not None:
            return
        with contextlib.suppress(OSError):  # told when it is opened
            fd = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW, MODE)
            try:
                status = os.fstat(fd)
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                    os.fchown(fd, self.uid, self.gid)
            finally:
                os.close(fd)


def own_logs(config: Config) -> None:
    """Make the files of both logs, and let the user and group of the settings open them. Raises nothing."""
    account = None
    with contextlib.suppress(ConfigError):  # a user that exists no more
        account = find_account(config.user, config.group)
    if account is not None:
        account.own_log(config.error_logfile)
        account.own_log(config.access_logfile)


def find_account(user: str, group: str) -> Account | None:
    """Return the account that the settings `user` and `group` name; None for none. Raises ConfigError."""
    if not user and not group:
        return None
    name, uid, gid, groups = "", os.geteuid(), os.getegid(), os.getgroups()
    if user:
        try:
            entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        except KeyError:
            if not user.isdecimal():
                raise ConfigError(f"user = {user}: this system has no such user") from None
            if os.geteuid() == 0 and not group:
                raise ConfigError(
                    f"user = {user}: this number has no name, so its group is unknown: set group too"
                ) from None
            uid, groups = int(user), [gid]  # a container may run as a number that has no name
        else:
            name, uid, gid = entry.pw_name, entry.pw_uid, entry.pw_gid
            groups = os.getgrouplist(name, gid)
    if group:
        try:
            gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise ConfigError(f"group = {group}: this system has no such group") from None
        groups = sorted({gid, *groups} - {0 if gid else -1}) if user else [gid]
    return Account(name, uid, gid, groups)


def set_title(title: str) -> None:
    """Show `title` in ps and top, if setproctitle is installed."""
    with contextlib.suppress(ImportError):
        import_module("setproctitle").setproctitle(f"greenserve: {title}")


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when `parent`, the master, has ended. On Linux; else do nothing.

    The channel tells a worker the same, unless its hub is held.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
