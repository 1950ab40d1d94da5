"""Service: what all exchanges of one server share, the line of their Date field among it. Made by the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

from greenserve.wsgi.link import WSGIApplication


class Service:
    """What all exchanges of one server share: the app, and what its answers have in common."""

    __slots__ = (
        "app",
        "date_line",
        "discard_limit",
        "keep_alive",
        "parks",
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
    ) -> None:
        """`date_line()` gives the Date field as a whole line, `server_line` is "" or the Server field likewise."""
        self.app = app
        self.date_line = date_line
        self.server_line = server_line
        self.sendfile = sendfile
        self.discard_limit = discard_limit  # bytes of unread body that do not cost the connection
        self.websocket_options = websocket_options  # what environ["greenserve.websocket"] is
        self.keep_alive = keep_alive  # False: answers say Connection: close
        self.parks = True  # False: not even a connection whose client was not told of its end is kept

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

    def __call__(self) -> str:
        """Return `Date: …` with its line end."""
        now = time.time()
        # The first comparison: the clock may have been set back.
        if now < self._since or now >= self._until:
            self._since = second = float(int(now))
            self._until = second + 1.0
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._line
