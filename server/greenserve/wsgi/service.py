"""The app and the settings that all exchanges of one server share. Made by the server, read by every exchange."""

from __future__ import annotations

from collections.abc import Callable

from greenserve.wsgi.link import WSGIApplication


class Service:
    """The app, and what its responses have in common."""

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
        """`date_line()` returns the Date field as a whole line; `server_line` is the Server field as one, or ""."""
        self.app = app
        self.date_line = date_line
        self.server_line = server_line
        self.sendfile = sendfile
        self.discard_limit = discard_limit  # bytes of unread body up to which the connection is kept
        self.websocket_options = websocket_options  # for environ["greenserve.websocket"]
        self.keep_alive = keep_alive  # False: responses say Connection: close
        self.parks = True  # False: a connection closes after its response, even if that did not say so
