"""gevent-websocket on gevent's pywsgi, /echo and hello: `python -m tests.bench.apps.ws_gevent port`.

The listener has TCP_NODELAY, as in run_gevent.py.
"""

import sys

from gevent import socket
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler
from tests.bench.apps import hello


def app(environ, start_response):
    ws = environ.get("wsgi.websocket")
    if ws is None:
        return hello.app(environ, start_response)
    while (message := ws.receive()) is not None:
        ws.send(message)  # text comes and goes as str, the rest as bytearray
    return []


if __name__ == "__main__":
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen(2048)
    listener.setblocking(False)
    WSGIServer(listener, app, log=None, handler_class=WebSocketHandler).serve_forever()
