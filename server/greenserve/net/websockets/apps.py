"""WebSockets inside WSGI: accept_websocket for a view of any framework, WebSocketWSGI for an app of its own.

They know the server by environ alone. The invariant: either the handshake is answered with 101 and a WebSocket lives on
the connection, or the client gets a whole HTTP response that says why not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, TypedDict, Unpack

from greenserve.errors import AppError, ConfigError, ProtocolError
from greenserve.net.http.services import Carrier
from greenserve.net.websockets.options import WebSocketOptions, parse_options
from greenserve.net.websockets.websocket import WebSocket
from greenserve.websocket import (
    Compression,
    HandshakeError,
    Origins,
    check_answer,
    check_request,
    shake_hands,
)
from greenserve.wsgi import WSGIApplication


class Options(TypedDict, total=False):
    """What a handler sets for itself, in place of the server's settings of the same names with `ws_` before them."""

    subprotocols: Sequence[str]
    headers: Sequence[tuple[str, str]]
    origins: Origins | None
    compression: bool | Compression | None
    max_size: int | None
    max_frames: int | None
    max_ratio: int | None
    max_queue: int | None
    max_unsent: int | None
    when_slow: str | None
    ping_interval: float | None
    ping_timeout: float | None
    idle_timeout: float | None
    close_timeout: float | None


def accept_websocket(
    environ: dict[str, Any],
    *,
    subprotocols: Sequence[str] = (),
    headers: Sequence[tuple[str, str]] = (),
    **options: Any,
) -> WebSocket:
    """Answer this request's handshake and return its WebSocket. For WSGI apps, before their response has begun.

    The app's own response is thrown away: return an empty one. The WebSocket is closed with 1000 when the app returns,
    unless `on_message` is set, and with 1011 when it raises or, as frameworks do then, answers 5xx.
    `subprotocols`: those that you speak, the preferred one first; `headers`: more fields of the 101 response;
    `options`: see Options. Flask finds a view for it only by a route with `websocket=True`.

    Raises HandshakeError for a request that is not a valid handshake, comes from the page of a site that is not
    allowed, or is one too many. It is a WSGI app: answer with it (server/README.md says how in each framework). Raises
    PeerGone, ConfigError for a wrong option, and AppError under another server.
    Switches: when the client reads slowly.
    """
    return _accept(environ, subprotocols, headers, _defaults(environ).but(parse_options(options)))


def _defaults(environ: dict[str, Any]) -> WebSocketOptions:
    defaults = environ.get("greenserve.websocket")
    if not isinstance(defaults, WebSocketOptions) or "greenserve.upgrade" not in environ:
        check_request(environ)
        raise AppError("accept_websocket() needs a request that greenserve serves, and its environ")
    return defaults


def _accept(
    environ: dict[str, Any],
    subprotocols: Sequence[str],
    headers: Sequence[tuple[str, str]],
    options: WebSocketOptions,
) -> WebSocket:
    try:
        handshake = shake_hands(
            environ,
            subprotocols=subprotocols,
            origins=options.origins,
            compression=options.compression,
            headers=headers,
        )
    except HandshakeError as error:
        # The Origin may be a page of the app's own, which the operator then has to list.
        if error.status == 403:
            options.refusals.log(
                "rejected a WebSocket at %.100a of %.100a: %s",
                environ["PATH_INFO"],
                environ.get("HTTP_HOST", ""),
                error.reason,
            )
        raise

    def make(connection: Carrier, ahead: bytes) -> WebSocket:
        return WebSocket(connection, ahead, handshake, environ, options)

    try:
        ws: WebSocket = environ["greenserve.upgrade"](handshake.head, make)
    except ProtocolError as error:  # no room for more, say: an answer like any other
        raise HandshakeError(error.status, error.reason, *error.headers) from None
    return ws


class WebSocketWSGI:
    """A WSGI app made of a function that is called with each WebSocket: a decorator, with options or without.

    ::

        @WebSocketWSGI
        def echo(ws):
            for message in ws:
                ws.send(message)
    """

    def __init__(
        self,
        handler: Callable[[WebSocket], object] | None = None,
        *,
        authorize: Callable[[dict[str, Any]], WSGIApplication | None] | None = None,
        max_frame_length: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        """`options` as accept_websocket's. Without a handler this is a decorator, called with one later.

        `authorize(environ)` is called before the handshake: it returns None to go on, or a WSGI app that answers the
        request instead, such as a Response of webob or werkzeug. `max_frame_length` is eventlet's name of `max_size`,
        which limits the whole message. Raises TypeError for a handler that can't be called, ConfigError, ValueError or
        AppError for options.
        """
        if handler is not None and not callable(handler):
            raise TypeError(f"a WebSocket's handler is a function of it, and not {handler!r:.100}")
        self.handler = handler
        self.authorize = authorize
        if max_frame_length is not None:
            options.setdefault("max_size", max_frame_length)
        self.options = options
        own = dict[str, Any](options)
        self._subprotocols = own.pop("subprotocols", ())
        self._headers = own.pop("headers", ())
        check_answer(self._subprotocols, self._headers)
        self._own = parse_options(own)
        self._chosen: tuple[WebSocketOptions, WebSocketOptions] | None = None  # a server's, and ours there

    @classmethod
    def configured(
        cls,
        handler: Callable[[WebSocket], object] | None = None,
        supported_protocols: Sequence[str] | None = None,
        origin_checker: Callable[[str | None, str], object] | None = None,
        support_legacy_versions: bool = False,
        **options: Unpack[Options],
    ) -> Self:
        """Make one by eventlet's names: a decorator with eventlet's options, and ours.

        `origin_checker(host, origin)` returns True if the Origin, "" for none, may connect to this Host; without it
        ws_origins holds, where eventlet lets in any. Raises ConfigError for `support_legacy_versions`: no browser of
        this decade speaks the drafts before RFC 6455.
        """
        if support_legacy_versions:
            raise ConfigError(
                "support_legacy_versions: greenserve speaks RFC 6455 and no draft before it; leave it out"
            )
        if supported_protocols:
            options.setdefault("subprotocols", supported_protocols)
        if origin_checker is not None:
            check = origin_checker
            options["origins"] = lambda origin, environ: bool(check(environ.get("HTTP_HOST"), origin or ""))
        return cls(handler, **options)

    def __call__(self, *args: Any) -> Any:
        """Serve a request (PEP 3333); or, without a handler, take it."""
        if self.handler is None:
            if len(args) != 1:
                raise TypeError(
                    "this WebSocketWSGI has no handler: call it with one, or use it as a decorator"
                )
            (handler,) = args
            return type(self)(handler, authorize=self.authorize, **self.options)
        environ, start_response = args
        return self._serve(environ, start_response)

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self.authorize is not None:
            answer = self.authorize(environ)
            if answer is not None:
                return answer(environ, start_response)
        try:
            ws = _accept(environ, self._subprotocols, self._headers, self._choose(_defaults(environ)))
        except HandshakeError as error:
            return error(environ, start_response)
        # For middleware only, as the head is sent. wsgiref.validate wants a type of everything but 204 and 304.
        start_response("101 Switching Protocols", [("Content-Type", "application/octet-stream")])
        assert self.handler is not None
        self.handler(ws)
        return []

    def _choose(self, defaults: WebSocketOptions) -> WebSocketOptions:
        """Return the same for all sockets of a server; hardly a handler serves under two."""
        chosen = self._chosen
        if chosen is None or chosen[0] is not defaults:
            chosen = self._chosen = (defaults, defaults.but(self._own))
        return chosen[1]
