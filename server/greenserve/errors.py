"""What can go wrong in the server, as one tree.

    ServeError
    ├── ProtocolError(status, reason)   the peer broke HTTP and can be told so
    │   ├── LimitExceeded               … by sending more than a limit allows (413, 414, 431)
    │   └── BodyError                   … in a body the app was reading; an OSError too, as apps expect of
    read()
    ├── PeerGone                        the peer left: answer nothing, log at debug; a ConnectionError too
    │   └── WebSocketClosed(code, reason)   … or this side did: nothing can be sent any more
    ├── AppError                        the app broke WSGI: 500 and a loud log
    └── ConfigError                     one clear line, exit 2; exit 4 where it may pass by itself
        └── AppImportError              the app can't be had: exit 3 or 4, with the user's own traceback

It imports nothing, so that every layer may raise these. An error that enforces a rule cites it in
its text: "Content-Length with Transfer-Encoding (RFC 9112 §6.1)".
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


RETRY = 4  # the exit code where whoever has started the command may just start it again


class ServeError(Exception):
    """Anything the server itself raises."""


class ProtocolError(ServeError):
    """The peer broke HTTP: `status` is the answer, `reason` says which rule, with its RFC §."""

    def __init__(self, status: int, reason: str, *headers: tuple[str, str]) -> None:
        """Take the status code to answer with, the rule that was broken, and fields that the answer needs."""
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers

    def __str__(self) -> str:
        """Give the line for the log: status and reason."""
        return f"{self.status}: {self.reason}"


class LimitExceeded(ProtocolError):
    """The peer sent more than a limit allows: 413 (body), 414 (target) or 431 (fields)."""


class BodyError(ProtocolError, OSError):
    """The body can't be read to its end: malformed, too long (413) or too slow (408)."""


class PeerGone(ServeError, ConnectionError):
    """The peer closed or reset the connection: there is nobody left to answer."""


class WebSocketClosed(PeerGone):
    """The WebSocket is closed, by either side: `code` and `reason` as RFC 6455 §7.1.5 and §7.1.6 have them."""

    def __init__(self, code: int, reason: str) -> None:
        """Take what it was closed with; 1006 where the connection broke."""
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        """Give the line for the log: code and reason."""
        return f"closed with {self.code}" + (f": {self.reason}" if self.reason else "")


class AppError(ServeError):
    """The app broke its side of WSGI (PEP 3333): the client gets a 500, the log says what."""


class ConfigError(ServeError):
    """A setting can't be used: one line says which, its value, its source and what is allowed."""

    exit_code = 2

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        """Take the clear line. `may_pass`: the next start may well succeed, with nothing mended: a port was in use."""
        super().__init__(message)
        if may_pass:
            self.exit_code = RETRY


class AppImportError(ConfigError):
    """The app can't be imported or is no WSGI app.

    `details` is the traceback of the user's own error, without the server's frames, or empty.
    """

    exit_code = 3

    def __init__(self, message: str, details: str = "", *, may_pass: bool = False) -> None:
        """Take the clear line and, where the user's code raised, its traceback as text."""
        super().__init__(message, may_pass=may_pass)
        self.details = details
