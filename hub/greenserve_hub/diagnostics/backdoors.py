"""The backdoor: an interpreter in the running process, for each connection.

A client can do whatever the process can. So it listens on a unix socket or on loopback, unless explicitly allowed
otherwise. Each connection has its own namespace, `_`, stdin, stdout and stderr. A statement runs in the connection's
green thread, and others run while it waits. Uses sockets, diagnostics/telnet.py and diagnostics/stdio.py; the server's
command opens one.

Invariant: the end of a connection, for whatever reason, ends neither the process nor another connection. Its output,
and input that it does not read, reach no other connection.
"""

from __future__ import annotations

import gc
import re
import sys
from codeop import CommandCompiler
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve_hub.diagnostics.debug import format_threads
from greenserve_hub.diagnostics.stdio import stand_in, use_console
from greenserve_hub.diagnostics.telnet import Key, LineReader
from greenserve_hub.errors import HubError
from greenserve_hub.forks import end_child, is_last
from greenserve_hub.greenio.serving import serve
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenthreads.greenthreads import kill, spawn_n
from greenserve_hub.loop.current import find_hub, get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.sync.locks import Lock
from greenserve_hub.tracebacks import format_error
from greenserve_hub.unpatched import os, socket

names_at_attach: dict[str, Any] = {}  # the program's names for call_back()

# A page in a browser may send requests to any port of its machine, and they would be run line by line.
_HTTP: Final = re.compile(r"[A-Z]+ \S+ HTTP/\d")


def backdoor_server(
    sock: socket.socket,
    locals: Mapping[str, Any] | None = None,
    allow_remote: bool = False,
    banner: str | None = None,
) -> None:
    """Serve a backdoor on the listening socket `sock`, and print its address to stderr. Switches: always.

    When this green thread is killed, the socket is closed and its connections end. Each connection gets a copy of the
    names in `locals`; `banner`: see backdoor(). HubError if other machines could connect, unless `allow_remote`;
    OSError when the socket fails.
    """
    check_local(sock, allow_remote)
    sys.stderr.write(f"backdoor at {place_of(sock)}\n")
    serve_backdoor(sock, locals, banner)


def serve_backdoor(
    sock: socket.socket, locals: Mapping[str, Any] | None = None, banner: str | None = None
) -> None:
    """Like backdoor_server, without the check and without printing. Switches: always."""
    sessions: set[greenlet] = set()

    def handle(connection: GreenSocket, address: Any) -> None:
        sessions.add(getcurrent())
        try:
            backdoor((connection, address), locals, banner)
        finally:
            sessions.discard(getcurrent())

    # A second socket, because the caller's may not be green. Both share the accept queue.
    with sock, GreenSocket(sock.family, sock.type, sock.proto, os.dup(sock.fileno())) as listener:
        try:
            serve(listener, handle)
        finally:
            for session in tuple(sessions):
                kill(session)


def backdoor(
    conn_addr: tuple[socket.socket, Any], locals: Mapping[str, Any] | None = None, banner: str | None = None
) -> None:
    """Serve one connection, as returned by accept(), and close it at its end. Switches: always.

    `banner`: what the client is greeted with, in place of the process, its Python and the names that show its state.
    """
    sock = conn_addr[0]
    if not isinstance(sock, GreenSocket):
        sock = GreenSocket(sock.family, sock.type, sock.proto, sock.detach())
    with sock:
        _Session(sock, locals or {}, banner).run()


def call_back(path: str) -> None:
    """Connect to the unix socket at `path` and serve a backdoor there, in a new green thread. Switches: never.

    For a script that is sent to this process (greenserve.attach). It may run in any OS thread and any green thread.
    """
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)  # the other side listens: it does not block
    hubs = [one for one in gc.get_objects() if type(one) is Hub and not one.closed]
    if not hubs:
        with sock:
            sock.sendall(b"no hub runs in this process: no green thread has waited yet\n")
        return
    here = find_hub()
    hub = here if here is not None else hubs[0]
    hub.call_from_thread(spawn_n, backdoor, (sock, path), names_at_attach)


def check_local(sock: socket.socket, allow_remote: bool) -> None:
    """Raise HubError if other machines can connect to the socket, unless that is allowed."""
    if not allow_remote and not _is_local(sock):
        raise HubError(
            f"a backdoor at {place_of(sock)} would give control of this process to everybody who can connect: listen "
            "on a unix socket or on 127.0.0.1, or pass allow_remote=True"
        )


def _is_local(sock: socket.socket) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return sock.family == socket.AF_UNIX
    address = ip_address(sock.getsockname()[0].partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def place_of(sock: socket.socket) -> str:
    """Return the address of a socket, in the form of --bind."""
    name = sock.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{os.fsdecode(name)}"
    return f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


class _Session:
    """One connection: its interpreter, which is also its stdin, stdout and stderr."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, sock: GreenSocket, locals: Mapping[str, Any], banner: str | None) -> None:
        self._sock = sock
        self._hub = get_hub()
        self._green = getcurrent()
        self._reader = LineReader()
        self._writing = Lock()
        self._compile = CommandCompiler()
        helpers: dict[str, Callable[..., object]] = {
            "threads": lambda: print(format_threads(stacks=False), end=""),
            "stacks": lambda: print(format_threads(), end=""),
            "hub": get_hub,
            "exit": _exit,
            "quit": _exit,
        }
        self._namespace: dict[str, Any] = {"__name__": "__console__", "__doc__": None, **helpers, **locals}
        names = ["threads()", "stacks()", "hub()", *(["pool()"] if "pool" in locals else [])]
        self._banner = banner or (
            f"backdoor of process {os.getpid()}, {' '.join(sys.argv)[:100]!r}: "
            f"Python {sys.version.split()[0]}, hub on {self._hub.poller.name}\n"
            f"{', '.join(names)} show its state; exit() or Ctrl-D ends this connection only\n"
        )

    # The interpreter -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until the client ends the session or disconnects."""
        with use_console(self), suppress(OSError, SystemExit):
            self.write(self._banner)
            lines: list[str] = []
            is_first = True
            while True:
                try:
                    self.write("... " if lines else ">>> ")
                    line = self.readline()
                    if not line or (is_first and _HTTP.match(line)):
                        return
                    lines.append(line.removesuffix("\n"))
                    is_first = False
                    if self._run("\n".join(lines)):
                        lines = []
                except (GreenletExit, OSError, SystemExit):
                    raise
                except BaseException as error:  # a Timeout that is still armed, Ctrl-C
                    lines = []
                    self._tell(error.with_traceback(None))

    def _run(self, source: str) -> bool:
        """Return True if `source` was complete and has run."""
        try:
            code = self._compile(source, "<backdoor>", "single")
        except (OverflowError, SyntaxError, ValueError) as error:
            self._tell(error.with_traceback(None))
            return True
        if code is None:
            return False
        stand_in()
        try:
            exec(code, self._namespace)
        except BaseException as error:
            if is_last():
                end_child(error, self._tell)
            if isinstance(error, GreenletExit | SystemExit):
                raise
            self._tell(error)
        if is_last():
            end_child()  # the prompt belongs to the parent
        return True

    def _tell(self, error: BaseException) -> None:
        trace = error.__traceback__
        self.write(format_error(error, None if trace is None else trace.tb_next))

    def display(self, value: object) -> None:
        """Like sys.displayhook, with the connection's own `_`."""
        if value is not None:
            self.write(f"{value!r}\n")
            self._namespace["_"] = value

    # stdin, stdout and stderr ----------------------------------------------------------------------------

    def readline(self, size: int = -1) -> str:
        """Return the next line with "\\n"; "" at the end of input or for Ctrl-D. KeyboardInterrupt for Ctrl-C."""
        lines = self._reader.lines
        while not lines:
            data = self._sock.recv(4096)
            if not data:
                return ""
            answer = self._reader.feed(data)
            if answer:
                self._send(answer)
        line = lines.popleft()
        if line is Key.INTERRUPT:
            raise KeyboardInterrupt
        return "" if line is Key.END else f"{line}\n"

    def write(self, text: str) -> int:
        """Send. After a disconnect, OSError in the connection's green thread; text of other threads is dropped."""
        data = text.encode("utf-8", "backslashreplace")
        if find_hub() is self._hub and getcurrent() is not self._hub.greenlet:
            self._send(data)
        else:
            # In threads.execute() or a callback, which cannot wait here.
            self._hub.call_from_thread(spawn_n, self._send, data)
        return len(text)

    def _send(self, data: bytes) -> None:
        try:
            with self._writing:
                self._sock.sendall(data)
        except OSError:
            if getcurrent() is self._green:
                raise

    def flush(self) -> None:
        """Do nothing: write() does not buffer."""

    def isatty(self) -> bool:
        """Return False: it is a socket."""
        return False

    def fileno(self) -> int:
        """Raise OSError: others must not write to the socket."""
        raise OSError("the console of a backdoor has no descriptor")

    def close(self) -> None:
        """Do nothing: the session closes the socket. The exit() of `site` calls this first."""


def _exit(code: object = None) -> None:
    raise SystemExit(code)
