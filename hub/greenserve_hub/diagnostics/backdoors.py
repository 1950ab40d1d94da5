"""The backdoor: an interpreter in the running process, for each who connects to it.

Who can connect can do whatever the process can: it listens at a unix socket or at loopback, or has to be told twice.
Each connection has a namespace, a `_` and a stdin, stdout and stderr of its own; a statement runs in the connection's
green thread and gives way where it waits. Stands on sockets, diagnostics/telnet.py and diagnostics/stdio.py; the
server's command opens one.

Invariant: a connection's end, however it comes, ends neither the process nor another connection, and what it prints or
does not read reaches nobody else.
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

names_at_attach: dict[str, Any] = {}  # for call_back(): what the program has to show

# A page in a browser may send to any port of its own machine, and what it sends would be run line by line.
_HTTP: Final = re.compile(r"[A-Z]+ \S+ HTTP/\d")


def backdoor_server(
    sock: socket.socket, locals: Mapping[str, Any] | None = None, allow_remote: bool = False
) -> None:
    """Serve a backdoor to each who connects to `sock`, and say on stderr where. Switches: always.

    `sock` listens; it is closed, and its connections ended, when the green thread that this runs in is killed.
    `locals` are names for each connection, copied. HubError where others than this machine could connect, unless
    `allow_remote`; OSError when the socket fails.
    """
    check_local(sock, allow_remote)
    sys.stderr.write(f"backdoor at {place_of(sock)}\n")
    serve_backdoor(sock, locals)


def serve_backdoor(sock: socket.socket, locals: Mapping[str, Any] | None = None) -> None:
    """As backdoor_server, without asking and without saying so. Switches: always."""
    sessions: set[greenlet] = set()

    def handle(connection: GreenSocket, address: Any) -> None:
        sessions.add(getcurrent())
        try:
            backdoor((connection, address), locals)
        finally:
            sessions.discard(getcurrent())

    # A twin, for the caller's may be no green one; they share the queue of who connects.
    with sock, GreenSocket(sock.family, sock.type, sock.proto, os.dup(sock.fileno())) as listener:
        try:
            serve(listener, handle)
        finally:
            for session in tuple(sessions):
                kill(session)


def backdoor(conn_addr: tuple[socket.socket, Any], locals: Mapping[str, Any] | None = None) -> None:
    """Serve one connection, as accept() gives it, until its end; then it is closed. Switches: always."""
    sock = conn_addr[0]
    if not isinstance(sock, GreenSocket):
        sock = GreenSocket(sock.family, sock.type, sock.proto, sock.detach())
    with sock:
        _Session(sock, locals or {}).run()


def call_back(path: str) -> None:
    """Serve one connection, to the unix socket at `path`, in a green thread of its own. Switches: never.

    For whoever has this process run a script (greenserve.attach), in whatever OS thread and green thread that is.
    """
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)  # somebody listens there: it does not block
    hubs = [one for one in gc.get_objects() if type(one) is Hub and not one.closed]
    if not hubs:
        with sock:
            sock.sendall(b"no hub runs in this process: no green thread has waited yet\n")
        return
    here = find_hub()
    hub = here if here is not None else hubs[0]
    hub.call_from_thread(spawn_n, backdoor, (sock, path), names_at_attach)


def check_local(sock: socket.socket, allow_remote: bool) -> None:
    """Raise HubError for a socket that others than this machine can connect to, unless that is allowed."""
    if not allow_remote and not _is_local(sock):
        raise HubError(
            f"a backdoor at {place_of(sock)} would give this process to whoever can reach it: listen at a unix socket "
            "or at 127.0.0.1, or say allow_remote too"
        )


def _is_local(sock: socket.socket) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return sock.family == socket.AF_UNIX
    address = ip_address(sock.getsockname()[0].partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def place_of(sock: socket.socket) -> str:
    """Where a socket listens, in the form of --bind."""
    name = sock.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{os.fsdecode(name)}"
    return f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


class _Session:
    """One connection: its interpreter, and the text file that it talks through."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, sock: GreenSocket, locals: Mapping[str, Any]) -> None:
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
        self._banner = (
            f"backdoor of process {os.getpid()}, {' '.join(sys.argv)[:100]!r}: "
            f"Python {sys.version.split()[0]}, hub on {self._hub.poller.name}\n"
            f"{', '.join(names)} tell of it; exit() or Ctrl-D ends this connection only\n"
        )

    # The interpreter -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the client ends it, or is gone."""
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
                except BaseException as error:  # a Timeout that was left running, Ctrl-C
                    lines = []
                    self._tell(error.with_traceback(None))

    def _run(self, source: str) -> bool:
        """Whether it was whole, and has run."""
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
            end_child()  # the prompt is the parent's
        return True

    def _tell(self, error: BaseException) -> None:
        trace = error.__traceback__
        self.write(format_error(error, None if trace is None else trace.tb_next))

    def display(self, value: object) -> None:
        """As sys.displayhook, with a `_` of its own."""
        if value is not None:
            self.write(f"{value!r}\n")
            self._namespace["_"] = value

    # The text file ---------------------------------------------------------------------------------------

    def readline(self, size: int = -1) -> str:
        """The next line, "\\n" at its end; "" at the end of all, or for a Ctrl-D. KeyboardInterrupt for a Ctrl-C."""
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
        """Send. OSError where the client has gone, in the connection's own green thread; others' text is dropped."""
        data = text.encode("utf-8", "backslashreplace")
        if find_hub() is self._hub and getcurrent() is not self._hub.greenlet:
            self._send(data)
        else:
            # From threads.execute(), or a callback: neither may wait here.
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
        """Nothing is held back."""

    def isatty(self) -> bool:
        """A socket."""
        return False

    def fileno(self) -> int:
        """None that others may write to: OSError."""
        raise OSError("the console of a backdoor has no descriptor")

    def close(self) -> None:
        """Not by whoever prints: exit() does, and site's own exit() tries this first."""


def _exit(code: object = None) -> None:
    raise SystemExit(code)
