"""A systemd of the test's own: a user manager in namespaces and cgroups of its own, as root may make them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.times import PATIENCE, eventually

# In there /run is empty but for what says that systemd runs the machine, and for the units.
_INSIDE = """
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/user/0/systemd/user && chmod 700 /run/user/0 &&
cp "$1"/* /run/user/0/systemd/user/ && export XDG_RUNTIME_DIR=/run/user/0 &&
/lib/systemd/systemd --user --unit=basic.target &
wait
"""
_UNSHARE = ("unshare", "--mount", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc")


class UserManager:
    """systemctl of a systemd that knows the units of one folder."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        self._enter = ["nsenter", "--target", child, "--mount", "--cgroup", "--pid"]

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._enter, "systemctl", "--user", *arguments],
            env={**os.environ, "XDG_RUNTIME_DIR": "/run/user/0"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def shown(self, unit: str) -> dict[str, str]:
        """All properties of a unit."""
        lines = self.systemctl("show", unit).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def becomes(self, unit: str, is_so: Callable[[dict[str, str]], bool]) -> None:
        """Wait until the unit's properties are so."""
        eventually(lambda: is_so(self.shown(unit)), f"{unit}: what was waited for")


@contextlib.contextmanager
def user_manager(units: Path) -> Iterator[UserManager]:
    """Start one; the test is skipped where this machine doesn't let it. Everything in it ends with the block."""
    cgroups = _cgroups()
    join = "".join(f"echo $$ >{folder}/cgroup.procs && " for folder in cgroups)
    command = ["sh", "-c", f'{join}exec {" ".join(_UNSHARE)} sh -c "$0" sh "$@"', _INSIDE, str(units)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        eventually(lambda: process.poll() is not None or _is_up(process), "systemd")
        if process.poll() is not None:
            assert process.stderr is not None
            pytest.skip(f"this machine lets no systemd start: {process.stderr.read().decode()}")
        yield UserManager(process)
    finally:
        process.kill()  # and with it all that is in its namespaces
        process.wait(PATIENCE)
        assert process.stderr is not None
        process.stderr.close()
        for folder in cgroups:
            eventually(lambda folder=folder: _removed(folder), f"an empty {folder}")  # type: ignore[misc]


def _is_up(process: subprocess.Popen[bytes]) -> bool:
    with contextlib.suppress(ValueError, OSError, subprocess.SubprocessError):
        return UserManager(process).systemctl("is-active", "basic.target").stdout == "active\n"
    return False


def _cgroups() -> list[Path]:
    """Cgroups below ours that systemd may manage; the test is skipped where there can be none."""
    made = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for root in {"name=systemd": ["systemd"], "": ["unified", ""]}.get(controllers, []):
            above = Path("/sys/fs/cgroup", root, path.lstrip("/"))
            if (above / "cgroup.procs").exists():
                try:
                    (above / f"greenserve-test-{os.getpid()}").mkdir()
                except OSError as error:
                    pytest.skip(f"needs cgroups of its own: {error}")
                made.append(above / f"greenserve-test-{os.getpid()}")
                break
    return made


def _removed(folder: Path) -> bool:
    for below, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(below)
        except OSError:  # its processes are about to end
            return False
    return True
