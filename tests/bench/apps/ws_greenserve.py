"""WebSockets by path: /echo, /callback (the same without a green thread), /room and /announce. All else is hello.

What /announce gets, every member of the room gets.
"""

from tests.bench.apps import hello

from greenserve import Room, WebSocketWSGI

ROOM = Room()


@WebSocketWSGI
def echo(ws):
    for message in ws:
        ws.send(message)


@WebSocketWSGI
def callback(ws):
    ws.on_message = ws.send


@WebSocketWSGI
def room(ws):
    ROOM.join(ws)
    for _ in ws:
        pass


@WebSocketWSGI
def announce(ws):
    for message in ws:
        ROOM.send(message)


HANDLERS = {"/echo": echo, "/callback": callback, "/room": room, "/announce": announce}


def app(environ, start_response):
    handler = HANDLERS.get(environ["PATH_INFO"], hello.app)
    return handler(environ, start_response)
