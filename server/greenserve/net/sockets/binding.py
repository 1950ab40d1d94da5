"""From an address of `--bind` to a listening socket, and from a socket to the names that tell of it.

Knows sockets and nothing of the hub or HTTP. Everything that can go wrong here is the user's to mend, so
every error is a ConfigError that says which address and what to do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from typing import Final

from greenserve.config.values.binds import BindAddress
from greenserve.errors import ConfigError
from greenserve_hub.unpatched import socket

_ADVICE: Final = {
    errno.EADDRINUSE: "something listens there already; stop it, or choose another --bind (port 0 takes a free one)",
    errno.EACCES: "not allowed; ports below 1024 need root or CAP_NET_BIND_SERVICE, "
    "unix sockets a folder you may write to",
    errno.EADDRNOTAVAIL: "this machine has no such address; use 0.0.0.0 or [::] for all that it has",
    errno.ENOENT: "the folder does not exist; create it first",
}

# What is so now may be otherwise in a moment, with nobody's doing: the port's owner stops, the address comes up.
_MAY_PASS: Final = {
    errno.EADDRINUSE,
    errno.EADDRNOTAVAIL,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
}

# Bytes that the kernel holds for a connection beyond what is under way. Larger responses cost more turns: one of 1 MiB
# some 0.7 ms of CPU on loopback instead of 0.3. A client that doesn't read costs the kernel 180 KiB, not 1.4 MB.
_UNSENT: Final = 128 * 1024
_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


def open_listener(address: BindAddress, backlog: int, reuse_port: bool, socket_mode: int) -> socket.socket:
    """A listening, non-blocking socket. Raises ConfigError."""
    try:
        if address.kind == "fd":
            sock = _from_descriptor(address)
        elif address.kind == "unix":
            sock = _bind_unix(address, socket_mode)
        else:
            sock = _bind_tcp(address, reuse_port)
        try:
            sock.listen(backlog)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise ConfigError(
            f"cannot listen at {address}: {advice}", may_pass=error.errno in _MAY_PASS
        ) from error
    return prepare(sock)


def prepare(sock: socket.socket) -> socket.socket:
    """Set what every listening socket needs, also one that the program brings: not to block, and no Nagle's delay."""
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        # Accepted sockets inherit it. Pieces are put together before they are sent, so waiting for more gains
        # nothing.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Urgent data would end a read short of what is there, which is taken for the end of what has come.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        # What a client does not take stays with us. The kernel would grow its buffer to 4 MB (tcp_wmem), and a
        # thousand clients that don't read would use up what all TCP of the machine may have (tcp_mem).
        with contextlib.suppress(OSError):  # newer than some systems
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _UNSENT)
    return sock


def _from_descriptor(address: BindAddress) -> socket.socket:
    try:
        sock = socket.socket(fileno=os.dup(address.fd))
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {address}: descriptor {address.fd} is no open socket ({error.strerror})"
        ) from error
    if sock.type != socket.SOCK_STREAM:
        sock.close()
        raise ConfigError(f"cannot listen at {address}: it is no stream socket")
    return sock


def _bind_tcp(address: BindAddress, reuse_port: bool) -> socket.socket:
    host = address.host or None
    try:
        found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(
            f"cannot listen at {address}: the name {address.host!r} is unknown ({error.strerror})",
            may_pass=error.errno == socket.EAI_AGAIN,
        ) from error
    # A name may stand for several; IPv4 first, as clients of "localhost" expect where both are there.
    family, kind, protocol, _, target = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # The same on every system, and [::]:80 beside 0.0.0.0:80 is no clash.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(target)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(address: BindAddress, mode: int) -> socket.socket:
    if not address.abstract:
        _remove_stale(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(address.sockaddr)
        if not address.abstract:
            os.chmod(address.path, mode)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(address: BindAddress) -> None:
    """Take away what a server that died has left; never a socket that is in use, nor anything else."""
    try:
        if not stat.S_ISSOCK(os.stat(address.path).st_mode):
            raise ConfigError(
                f"cannot listen at {address}: the path exists and is no socket; remove it or choose another"
            )
    except FileNotFoundError:
        return
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            os.unlink(address.path)
        except OSError as error:
            raise ConfigError(
                f"cannot listen at {address}: {error.strerror or error}",
                may_pass=isinstance(error, TimeoutError | BlockingIOError),  # somebody is there, and busy
            ) from error
        else:
            raise ConfigError(f"cannot listen at {address}: {_ADVICE[errno.EADDRINUSE]}", may_pass=True)


def close_inherited(sock: socket.socket, given: Iterable[BindAddress] = ()) -> None:
    """Close the copy of a socket that the child of a fork has, and the `fd://` of which it was made. Repeatable.

    No green socket's close(): that would tell the hub, which may be another OS thread's.
    """
    fd = socket.socket.detach(sock)
    for address in given:
        with contextlib.suppress(OSError):
            if address.kind == "fd" and os.path.sameopenfile(address.fd, fd):
                os.close(address.fd)
    if fd >= 0:
        with contextlib.suppress(OSError):
            os.close(fd)


def file_of(sock: socket.socket) -> tuple[str, int] | None:
    """The path and the inode of a unix socket's file, for remove_file() when it has been closed."""
    name = sock.getsockname()
    if sock.family != socket.AF_UNIX or not isinstance(name, str) or not name:
        return None
    with contextlib.suppress(OSError):
        status = os.stat(name)
        if stat.S_ISSOCK(status.st_mode):
            return name, status.st_ino
    return None


def remove_file(file: tuple[str, int] | None) -> None:
    """Take away a unix socket's file, unless another server has put its own there meanwhile."""
    if file is not None:
        path, inode = file
        with contextlib.suppress(OSError):
            if os.stat(path).st_ino == inode:
                os.unlink(path)


def name_and_port(sock: socket.socket, scheme: str = "http") -> tuple[str, str]:
    """SERVER_NAME and SERVER_PORT of a listening socket (PEP 3333: never empty)."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return "localhost", "443" if scheme == "https" else "80"
    return name[0], str(name[1])


def reach_of(sock: socket.socket) -> str:
    """The other addresses at which the socket is reachable, which url_of() does not name; for the log."""
    address = sock.getsockname()[0] if sock.family in (socket.AF_INET, socket.AF_INET6) else ""
    if address == "0.0.0.0":
        return " and at all other IPv4 addresses of this machine (0.0.0.0)"
    if address == "::":
        both = not sock.getsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
        )  # a socket that was handed over, say
        return f" and at all other {'' if both else 'IPv6 '}addresses of this machine ([::])"
    return ""


def url_of(sock: socket.socket, scheme: str = "http") -> str:
    """The URL for a client on this machine."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        path = name if isinstance(name, str) else "@" + name[1:].decode(errors="replace")
        return f"{scheme}+unix:{path}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name[0], name[0])
    return f"{scheme}://[{host}]:{name[1]}" if ":" in host else f"{scheme}://{host}:{name[1]}"
