"""`python -m greenserve.attach PID`: a Python interpreter in a running process, started with a backdoor or not.

Facts: from Python 3.14 on sys.remote_exec() makes another process run a file, if the kernel lets the caller trace that
process, as it does for the same user and for root. Decision: the file makes the process connect to a unix socket in a
folder that only its user can enter, and no other process may connect. Then it runs the backdoor of greenserve_hub in a
green thread of its own: no request waits.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenserve_hub.unpatched import os, select

_USAGE = "usage: python -m greenserve.attach PID\n"
_PATIENCE = (
    10.0  # seconds; an idle process wakes each second, and a busy one runs the file as soon as it runs Python
)
_SCRIPT = """\
import socket, sys
if "greenserve_hub.loop.hub" in sys.modules:
    from greenserve_hub.diagnostics.backdoors import call_back
    call_back({path!r})
else:
    with socket.socket(socket.AF_UNIX) as here:
        here.connect({path!r})
        here.sendall(b"this process has not imported greenserve\\n")
"""


class _CannotAttach(Exception):
    """The process can't be attached to: one line says why, and what to do."""


def main() -> int:
    """Run the command and return its exit code: 2 if it can't attach."""
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.stderr.write(_USAGE)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    try:
        with _connection(int(sys.argv[1])) as connection:
            _talk(connection)
    except _CannotAttach as error:
        sys.stderr.write(f"greenserve.attach: {error}\n")
        return 2
    return 0


@contextmanager
def _connection(pid: int) -> Iterator[socket.socket]:
    """Yield a connection to the process."""
    if sys.version_info < (3, 14):
        raise _CannotAttach(
            "this needs Python 3.14, here and in the process: start the server with --backdoor unix:PATH instead"
        )
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        place, script = Path(folder, "socket"), Path(folder, "script.py")
        listener.bind(os.fspath(place))
        listener.listen(1)
        script.write_text(_SCRIPT.format(path=os.fspath(place)))
        _hand_over(pid, place, script, folder)
        try:
            sys.remote_exec(pid, os.fspath(script))
        except PermissionError:
            raise _CannotAttach(
                f"the kernel does not let this user trace process {pid}: run this as its user or as root; see ptrace(2)"
            ) from None
        except (OSError, RuntimeError) as error:  # no such process; no Python, or another version of it
            raise _CannotAttach(f"process {pid}: {error}") from None
        listener.settimeout(_PATIENCE)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            raise _CannotAttach(
                f"process {pid} has not connected within {_PATIENCE:.0f} s: its main thread is inside C code, or it is "
                f"in a container and does not see {folder}"
            ) from None
    with connection:
        _check(connection, pid)
        yield connection


def _hand_over(pid: int, *files: str | Path) -> None:
    # The process's user can't read root's files. The folder comes last: until then nobody can put a link there.
    with contextlib.suppress(OSError):
        owner = os.stat(f"/proc/{pid}").st_uid
        if owner != os.geteuid():
            for file in files:
                os.chown(file, owner, -1, follow_symlinks=False)


def _check(connection: socket.socket, pid: int) -> None:
    """Raise if another process has connected. Without SO_PEERCRED the mode of the folder has to be enough."""
    if hasattr(socket, "SO_PEERCRED"):
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        caller = struct.unpack("3i", credentials)[0]
        if caller not in (pid, 0):  # 0: it is in another PID namespace and has no number here
            raise _CannotAttach(f"process {caller} has connected in place of {pid}")


def _talk(connection: socket.socket) -> None:
    """Send the keyboard's input and print the output, until the process ends it; Ctrl-C interrupts the code there."""
    inputs = [connection, sys.stdin]
    while True:
        try:
            ready, _, _ = select.select(inputs, [], [])
            if connection in ready:
                data = connection.recv(65536)
                if not data:
                    return
                sys.stdout.buffer.write(data)
                sys.stdout.flush()
            if sys.stdin in ready:
                line = os.read(sys.stdin.fileno(), 65536)
                if line:
                    connection.sendall(line)
                else:
                    connection.shutdown(socket.SHUT_WR)
                    inputs.remove(sys.stdin)
        except KeyboardInterrupt:
            connection.sendall(b"\x03")
        except OSError:
            return


if __name__ == "__main__":
    sys.exit(main())
