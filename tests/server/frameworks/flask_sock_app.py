"""Flask-Sock as its users write it; nothing here knows of greenserve but Leftovers.

`app` has Flask-Sock's defaults but for its subprotocols; below /pinged, /watched and /small are more, with options of
theirs.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import flask
from flask_sock import ConnectionClosed, Server, Sock
from tests.server.frameworks.leftovers import Leftovers
from werkzeug.middleware.dispatcher import DispatcherMiddleware

PING_INTERVAL = 0.2 * float(os.environ.get("GREENSERVE_TEST_SLOWNESS", "1"))
SMALL = 1000  # bytes
SENDERS = 10
EACH = 20

sock = Sock()
ended: list[Any] = []  # how handlers have ended, in their order


@sock.route("/echo")
def echo(ws: Server) -> None:
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed as closed:
        ended.append([int(closed.reason), closed.message])
        raise


@sock.route("/agreed/<name>")
def agreed(ws: Server, name: str) -> None:
    ws.send(f"{name} {ws.subprotocol}")


@sock.route("/close")
def close(ws: Server) -> None:
    ws.close(4001, "enough")


@sock.route("/fail")
def fail(ws: Server) -> None:
    ws.receive()
    raise ValueError("secret")


@sock.route("/impatient")
def impatient(ws: Server) -> None:
    ws.send(repr(ws.receive(timeout=PING_INTERVAL)))


@sock.route("/together")
def together(ws: Server) -> None:
    """Many threads send at once, short messages and long ones."""

    def send(number: int) -> None:
        for _ in range(EACH):
            ws.send(str(number) * (10 if number % 2 else 100_000))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ws.receive()


@sock.route("/flood")
def flood(ws: Server) -> None:
    """Send for ever."""
    try:
        while True:
            ws.send(b"x" * 100_000)
    except Exception as error:
        ended.append(type(error).__name__)
        raise


def make(**options: Any) -> flask.Flask:
    app = flask.Flask(__name__)
    app.config["SOCK_SERVER_OPTIONS"] = options
    sock.init_app(app)
    app.add_url_rule("/hello", view_func=lambda: "hello", endpoint="hello")
    app.add_url_rule("/never", view_func=threading.Event().wait, endpoint="never")
    app.add_url_rule("/ended", view_func=lambda: ended, endpoint="ended")
    return app


app = make(subprotocols=["chat.v2", "chat.v1"])
_OTHERS = {
    "/pinged": make(ping_interval=PING_INTERVAL),
    "/watched": make(ping_interval=25),  # as its documentation recommends; a selector watches the socket
    "/small": make(max_message_size=SMALL),
}
app.wsgi_app = Leftovers(DispatcherMiddleware(app.wsgi_app, _OTHERS))  # type: ignore[method-assign]
