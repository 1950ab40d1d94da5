"""create_connection: a green socket that is connected, to the first address of a name that answers."""

from __future__ import annotations

import socket
from typing import Any

from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.osthreads import dns

_DEFAULT_TIMEOUT: Any = socket._GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]  # http.client passes it


def create_connection(
    address: tuple[str, int],
    timeout: Any = _DEFAULT_TIMEOUT,
    source_address: tuple[str, int] | None = None,
    *,
    all_errors: bool = False,
) -> GreenSocket:
    """Like socket.create_connection; returns a GreenSocket. Tries each address of the name.

    `timeout` in seconds for each address; if not given, the default timeout. Switches: until one is connected.
    """
    errors: list[OSError] = []
    host, port = address
    for family, kind, protocol, _, target in dns.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        sock: GreenSocket | None = None
        try:
            sock = GreenSocket(family, kind, protocol)
            if timeout is not _DEFAULT_TIMEOUT:
                sock.settimeout(timeout)
            if source_address is not None:
                sock.bind(source_address)
            sock.connect(target)
            return sock
        except OSError as error:
            errors.append(error)
            if sock is not None:
                sock.close()
    if not errors:
        raise OSError(f"the name {host!r} has no address")
    if all_errors and len(errors) > 1:
        raise ExceptionGroup("create_connection failed", errors)
    raise errors[0]


__all__ = ["create_connection"]
