"""The app and the settings that all exchanges of one server share, and the Date field. Made by the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from greenserve.errors import ProtocolError
from greenserve.logs.request_ids import RequestIds
from greenserve.wsgi.link import WSGIApplication


class Service:
    """The app, and what its responses have in common."""

    __slots__ = (
        "app",
        "app_of",
        "date_line",
        "discard_limit",
        "keep_alive",
        "parks",
        "refusal_of",
        "request_ids",
        "sendfile",
        "server_line",
        "websocket_options",
    )

    def __init__(
        self,
        app: WSGIApplication,
        date_line: Callable[[], str],
        server_line: str,
        sendfile: bool,
        keep_alive: bool,
        discard_limit: int,
        websocket_options: object = None,
        request_ids: RequestIds | None = None,
        app_of: Callable[[Any], WSGIApplication] | None = None,
        refusal_of: Callable[[ProtocolError], bytes | None] | None = None,
    ) -> None:
        """`date_line()` returns the Date field as a whole line; `server_line` is the Server field as one, or "".

        `app_of(exchange)` returns what is called for one request in place of `app`. `refusal_of(error)` returns what is
        sent in place of the server's own error to a request that no app sees; b"": the server's own, None: nothing.
        """
        self.app = app
        self.app_of = app_of
        self.refusal_of = refusal_of
        self.date_line = date_line
        self.server_line = server_line
        self.sendfile = sendfile
        self.discard_limit = discard_limit  # bytes of unread body up to which the connection is kept
        self.websocket_options = websocket_options  # for environ["greenserve.websocket"]
        self.request_ids = request_ids  # None: requests have no ids
        self.keep_alive = keep_alive  # False: responses say Connection: close
        self.parks = True  # False: a connection closes after its response, even if that did not say so

    def end_keep_alive(self) -> None:
        """The server stops: responses say Connection: close from now on. Switches: never."""
        self.keep_alive = False

    def end_parking(self) -> None:
        """No connection is kept from now on, whatever its client was told. Switches: never."""
        self.parks = False


class DateLine:
    """Gives the Date field (RFC 9110 §6.6.1) of the current second, formatted once a second."""

    __slots__ = ("_line", "_since", "_until")

    def __init__(self) -> None:
        """Nothing is formatted yet."""
        self._since = self._until = 0.0
        self._line = ""

    def line(self) -> str:
        """Return `Date: …` with its line end."""
        now = time.time()
        # The first comparison: the clock may have been set back.
        if now < self._since or now >= self._until:
            self._since = second = float(int(now))
            self._until = second + 1.0
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._line
