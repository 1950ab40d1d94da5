"""HandshakeError: the response that refuses an upgrade (RFC 6455 §4.2.2, §4.4)."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from greenserve.errors import ProtocolError


class HandshakeError(ProtocolError):
    """The request can't become a WebSocket: 400, 403 (its Origin), 405 (not GET), 426 (no upgrade, another version).

    Or 503: there are too many, or the server stops. `headers` are those that the response needs; `reason` says what to
    change. It is a WSGI app, which answers so; server/README.md says how a view returns it.
    """

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """PEP 3333."""
        status = f"{self.status} {HTTPStatus(self.status).phrase}"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *self.headers])
        return [f"{status}\n{self.reason}\n".encode()]
