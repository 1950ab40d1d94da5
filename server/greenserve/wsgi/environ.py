"""The environ of a request (PEP 3333, "environ Variables").

Called by net/ for each request. Knows heads, not sockets. What is the same for all requests of a listener is
made once and copied; field names are turned into their HTTP_ keys through a table that fills with the
spellings that clients use.
"""

from __future__ import annotations

from typing import Any, Final, TextIO

from greenserve.http1 import RequestHead
from greenserve.wsgi.file_wrapper import FileWrapper

_CACHE_SIZE: Final = 1024
_LONGEST_KEPT: Final = 64  # characters of a name
_DROPPED: Final = ""
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
)
_keys: dict[str, str] = {}


def base_environ(
    scheme: str, server_name: str, server_port: str, software: str, errors: TextIO
) -> dict[str, Any]:
    """What all requests of one listener share, and a place for what each one sets: a copy then never grows."""
    return {
        **dict.fromkeys(_OF_REQUEST, ""),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": errors,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        # Reading past the end of a body gives b"": frameworks may read chunked bodies to the end.
        "wsgi.input_terminated": True,
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": software,
        "SERVER_NAME": server_name,
        "SERVER_PORT": server_port,
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }


def make_environ(base: dict[str, Any], head: RequestHead, peer: str, peer_port: str) -> dict[str, Any]:
    """The environ of one request, without what an Exchange adds (wsgi.input and the greenserve keys)."""
    environ = base.copy()
    environ["REQUEST_METHOD"] = head.method
    environ["PATH_INFO"] = head.path
    environ["QUERY_STRING"] = head.query
    if not head.http11:
        environ["SERVER_PROTOCOL"] = "HTTP/1.0"
    environ["RAW_URI"] = environ["REQUEST_URI"] = head.target
    environ["REMOTE_ADDR"] = peer
    environ["REMOTE_PORT"] = peer_port
    for name, value in head.fields:
        key = _keys.get(name)
        if key is None:
            key = _remember(name)
        if key in environ:
            # A cookie's crumbs are joined as RFC 6265 §5.4 writes them, any other list as RFC 9110 §5.3 does.
            environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + value
        elif key:
            environ[key] = value
    if head.target[0] != "/" and head.host is not None:
        environ["HTTP_HOST"] = head.host  # RFC 9112 §3.2.2: the target's authority wins
    return environ


def _remember(name: str) -> str:
    lowered = name.lower()
    if "_" in name or lowered == "proxy":
        # X_Forwarded_For would pass for X-Forwarded-For; HTTP_PROXY for a setting of the environment (httpoxy).
        key = _DROPPED
    else:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
    if len(name) <= _LONGEST_KEPT:
        if len(_keys) >= _CACHE_SIZE:
            _keys.clear()
        _keys[name] = key
    return key
