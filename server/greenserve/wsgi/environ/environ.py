"""The environ of a request (PEP 3333, "environ Variables").

Called by net/ for each request. Knows heads, not sockets. The part that all requests of a listener share is made once
and copied. A table that fills with the clients' spellings turns field names into their HTTP_ keys; it has no keys for
the fields that only a proxy may set: see forwarding.py. A repeated field is detected when its key is already there, so
it costs other requests nothing.
"""

from __future__ import annotations

from typing import Any, Final, TextIO

from greenserve.errors import ProtocolError
from greenserve.http1 import RequestHead
from greenserve.wsgi.environ.file_wrapper import FileWrapper
from greenserve.wsgi.environ.forwarding import DIRECT, Forwarding

_OF_REQUEST: Final = (
    "REQUEST_METHOD",
    "PATH_INFO",
    "QUERY_STRING",
    "RAW_URI",
    "REQUEST_URI",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "wsgi.input",
    "greenserve.posthooks",
    "greenserve.client_disconnected",
    "greenserve.set_timeout",
    "wsgi.early_hints",
)
# Fields that are not lists: two joined values would be a third that was never sent, and either alone may be the one
# that a proxy ignored. Node drops the second of these; gunicorn refuses a second Content-Type.
_SINGLES: Final = frozenset(
    {"CONTENT_TYPE"}
    | {
        "HTTP_" + name
        for name in [
            "ACCESS_CONTROL_REQUEST_METHOD",
            "AUTHORIZATION",
            "CONTENT_LOCATION",
            "CONTENT_RANGE",
            "DATE",
            "FROM",
            "IF_MODIFIED_SINCE",
            "IF_RANGE",
            "IF_UNMODIFIED_SINCE",
            "MAX_FORWARDS",
            "ORIGIN",
            "PROXY_AUTHORIZATION",
            "RANGE",
            "REFERER",
            "SEC_WEBSOCKET_KEY",
            "SEC_WEBSOCKET_VERSION",
            "USER_AGENT",
        ]
    }
)


def base_environ(
    scheme: str, server_name: str, server_port: str, software: str, errors: TextIO
) -> dict[str, Any]:
    """The part that all requests of one listener share, with a place for each key of a request: a copy never grows."""
    return {
        **dict.fromkeys(_OF_REQUEST, ""),
        **({"HTTPS": "on"} if scheme == "https" else {}),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": errors,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        # Reading past the end of a body gives b"": frameworks may read chunked bodies to the end.
        "wsgi.input_terminated": True,
        # The fields behind a chunked body, once it was read to its end; other bodies have none (RFC 9110 §6.5).
        "greenserve.trailers": (),
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": software,
        "SERVER_NAME": server_name,
        "SERVER_PORT": server_port,
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }


def make_environ(
    base: dict[str, Any], head: RequestHead, peer: str, peer_port: str, forwarding: Forwarding = DIRECT
) -> dict[str, Any]:
    """The environ of one request, without the keys that an Exchange adds (wsgi.input and the greenserve keys).

    Raises ProtocolError for fields that contradict each other, and for a target with another scheme.
    """
    if head.environ is not None:  # done already, from the same base and peer: see ordinary.py
        environ, head.environ = head.environ, None
        if head.dropped is not None:
            _set_origin(environ, head, head.dropped, forwarding)
        return environ
    environ = base.copy()
    environ["REQUEST_METHOD"] = head.method
    environ["PATH_INFO"] = head.path
    environ["QUERY_STRING"] = head.query
    if not head.http11:
        environ["SERVER_PROTOCOL"] = "HTTP/1.0"
    environ["RAW_URI"] = environ["REQUEST_URI"] = head.target
    environ["REMOTE_ADDR"] = peer
    environ["REMOTE_PORT"] = peer_port
    keys = forwarding.keys
    dropped: list[tuple[str, str]] | None = None
    for name, value in head.fields:
        try:
            key = keys[name]
        except KeyError:
            key = forwarding.key_of(name)
        if key in environ:
            environ[key] = _join(key, environ[key], value)
        elif key:
            environ[key] = value
        elif dropped is None:
            dropped = [(name, value)]
        else:
            dropped.append((name, value))
    if dropped is not None or head.target[0] != "/":
        _set_origin(environ, head, dropped or [], forwarding)
    return environ


def _set_origin(
    environ: dict[str, Any], head: RequestHead, dropped: list[tuple[str, str]], forwarding: Forwarding
) -> None:
    """Apply what proxies tell about the client, and the authority of a target in absolute-form."""
    is_absolute = head.target[0] != "/"
    if is_absolute and head.host is not None:
        environ["HTTP_HOST"] = head.host  # RFC 9112 §3.2.2: the target's authority wins
    forwarding.rewrite(environ, dropped)
    if is_absolute and head.target[:6].lower() == "https:" and environ["wsgi.url_scheme"] != "https":
        raise ProtocolError(421, "an https target over a connection without TLS (RFC 9110 §7.4)")


def _join(key: str, first: str, second: str) -> str:
    """The value of a repeated field. Raises ProtocolError if it may not differ and does."""
    if key == "HTTP_COOKIE":
        return f"{first}; {second}"  # RFC 6265 §5.4
    if key not in _SINGLES:
        return f"{first}, {second}"  # RFC 9110 §5.3
    if first != second:
        name = key.removeprefix("HTTP_").replace("_", "-").title()
        raise ProtocolError(400, f"two {name} fields that differ (RFC 9110 §5.5)")
    return first
