"""What all exchanges of one server share. Made by the server, read by every exchange."""

from __future__ import annotations

from collections.abc import Callable

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
        self.parks = True  # whether a connection whose client was told nothing of an end is kept
