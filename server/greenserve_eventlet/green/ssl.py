"""eventlet.green.ssl: TLS sockets that wait green, without monkey patching.

A listening socket leaves the handshake to each connection's first read or write, so that a silent client keeps no other
out. wrap_socket() verifies nothing unless it is asked to, like the function that Python had until 3.11.
"""

from __future__ import annotations

import ssl as standard
from typing import Any

from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenio.tls_sockets import GreenSSLSocket

globals().update({name: value for name, value in vars(standard).items() if not name.startswith("__")})


def __getattr__(name: str) -> Any:
    return getattr(standard, name)  # for type checkers


class GreenSSLContext(standard.SSLContext):
    """An SSLContext whose sockets are green."""

    sslsocket_class = GreenSSLSocket

    def wrap_socket(self, sock: Any, server_side: bool = False, *args: Any, **kwargs: Any) -> Any:
        """Like SSLContext.wrap_socket. Switches: for the handshake of a connection, unless it is to be left."""
        sock = _green_socket(sock)
        if server_side and not args and not _is_connected(sock):
            kwargs["do_handshake_on_connect"] = False  # accept() passes it on to the connections
        return super().wrap_socket(sock, server_side, *args, **kwargs)


SSLSocket = GreenSSLSocket
SSLContext = GreenSSLContext


def create_default_context(*args: Any, **kwargs: Any) -> GreenSSLContext:
    """Like ssl.create_default_context; its sockets are green. Switches: never."""
    return _green(standard.create_default_context(*args, **kwargs))


def _create_default_https_context(*args: Any, **kwargs: Any) -> GreenSSLContext:
    return _green(standard._create_default_https_context(*args, **kwargs))  # urllib and http.client call it


def _green(context: standard.SSLContext) -> GreenSSLContext:
    context.__class__ = GreenSSLContext  # a subclass that adds no state
    assert isinstance(context, GreenSSLContext)
    return context


def wrap_socket(
    sock: Any,
    keyfile: Any = None,
    certfile: Any = None,
    server_side: bool = False,
    cert_reqs: int = standard.CERT_NONE,
    ssl_version: int | None = None,
    ca_certs: Any = None,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    ciphers: str | None = None,
) -> GreenSSLSocket:
    """Return the socket with TLS. The arguments are those of the function that Python 3.12 has removed.

    Switches: for the handshake, if it is connected and `do_handshake_on_connect`. Raises OSError, and ValueError for a
    server without `certfile`.
    """
    if server_side and not certfile:
        raise ValueError(
            "a TLS server needs a certificate: give certfile, and keyfile unless the file has both"
        )
    default = standard.PROTOCOL_TLS_SERVER if server_side else standard.PROTOCOL_TLS_CLIENT
    context = GreenSSLContext(ssl_version or default)
    context.check_hostname = False  # there is no name to compare
    context.verify_mode = standard.VerifyMode(cert_reqs)
    if certfile:
        context.load_cert_chain(certfile, keyfile)
    if ca_certs:
        context.load_verify_locations(ca_certs)
    if ciphers:
        context.set_ciphers(ciphers)
    connection: GreenSSLSocket = context.wrap_socket(
        sock,
        server_side,
        do_handshake_on_connect=do_handshake_on_connect,
        suppress_ragged_eofs=suppress_ragged_eofs,
    )
    return connection


def _green_socket(sock: Any) -> GreenSocket:
    """Return a green socket in place of a plain one, which is given up."""
    if isinstance(sock, GreenSocket):
        return sock
    timeout = sock.gettimeout()
    green = GreenSocket(sock.family, sock.type, sock.proto, sock.detach())
    green.settimeout(timeout)
    return green


def _is_connected(sock: GreenSocket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
