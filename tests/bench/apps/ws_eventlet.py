"""WebSockets of eventlet by path, as in ws_greenserve.py; it has no rooms, so a loop sends to one after the other."""

from eventlet.websocket import WebSocketWSGI
from tests.bench.apps import hello

MEMBERS = set()
LARGEST = 32 << 20  # its default, 8 MiB, is less than what the conformance suite sends


def handler(function):
    return WebSocketWSGI(function, max_frame_length=LARGEST)


@handler
def echo(ws):
    while (message := ws.wait()) is not None:
        ws.send(message)


@handler
def room(ws):
    MEMBERS.add(ws)
    try:
        while ws.wait() is not None:
            pass
    finally:
        MEMBERS.discard(ws)


@handler
def announce(ws):
    while (message := ws.wait()) is not None:
        for one in list(MEMBERS):
            one.send(message)


HANDLERS = {"/echo": echo, "/room": room, "/announce": announce}


def app(environ, start_response):
    handler = HANDLERS.get(environ["PATH_INFO"], hello.app)
    return handler(environ, start_response)
