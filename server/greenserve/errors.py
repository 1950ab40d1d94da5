"""The server's errors, as one tree.

    ServeError
    ├── ProtocolError(status, reason)   the peer broke HTTP; the response says so
    │   ├── LimitExceeded               … by sending more than a limit allows (413, 414, 431)
    │   └── BodyError                   … in a body that the app reads; an OSError too, as read() raises
    ├── PeerGone                        the peer left: no answer, logged at debug; a ConnectionError too
    │   └── WebSocketClosed(code, reason)   … or this side closed: nothing can be sent any more
    ├── AppError                        the app broke WSGI: 500 and an error in the log
    └── ConfigError                     one clear line, exit 2; exit 4 if it may pass by itself
        └── AppImportError              the app can't be loaded: exit 3 or 4, with the user's own traceback

Imports nothing, so that every layer may raise these. An error that enforces a rule cites it in its text:
"Content-Length with Transfer-Encoding (RFC 9112 §6.1)".
"""

from __future__ import annotations

__all__ = [
    "AppError",
    "AppImportError",
    "BodyError",
    "ConfigError",
    "LimitExceeded",
    "PeerGone",
    "ProtocolError",
    "ServeError",
    "WebSocketClosed",
]


RETRY = 4  # the exit code after which the command may simply be started again


class ServeError(Exception):
    """The base of the server's own errors."""


class ProtocolError(ServeError):
    """The peer broke HTTP: `status` is the response's, `reason` names the rule, with its RFC §."""

    def __init__(self, status: int, reason: str, *headers: tuple[str, str]) -> None:
        """`headers` are fields that the response needs."""
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers

    def __str__(self) -> str:
        """Return the line for the log: status and reason."""
        return f"{self.status}: {self.reason}"


class LimitExceeded(ProtocolError):
    """The peer sent more than a limit allows: 413 (body), 414 (target) or 431 (fields)."""


class BodyError(ProtocolError, OSError):
    """The body can't be read to its end: it is malformed, too long (413) or too slow (408)."""


class PeerGone(ServeError, ConnectionError):
    """The peer closed or reset the connection: no response can reach it."""


class WebSocketClosed(PeerGone):
    """The WebSocket was closed by either side: `code` and `reason` are those of RFC 6455 §7.1.5 and §7.1.6."""

    def __init__(self, code: int, reason: str) -> None:
        """`code` is 1006 if the connection broke."""
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        """Return the line for the log: code and reason."""
        return f"closed with {self.code}" + (f": {self.reason}" if self.reason else "")


class AppError(ServeError):
    """The app broke WSGI (PEP 3333): the client gets a 500, the log names the rule."""


class ConfigError(ServeError):
    """A setting can't be used: one line names it, its value, its source and the allowed values.

    `details` is the traceback of the user's own error, without the server's frames, or empty.
    """

    exit_code = 2

    def __init__(self, message: str, details: str = "", *, may_pass: bool = False) -> None:
        """`message` is the clear line. `may_pass`: the next start may succeed without a change, as after a port was
        in use.
        """
        super().__init__(message)
        self.details = details
        if may_pass:
            self.exit_code = RETRY


class AppImportError(ConfigError):
    """The app can't be imported or is not a WSGI app."""

    exit_code = 3
