"""The IO shells: listeners, connections, and the server that owns them.

The one layer that knows sockets and the hub. Bytes go down to http1/, requests to wsgi/; process/ starts and
stops what is here.
"""

from greenserve.net.http.connection import Connection
from greenserve.net.serving.server import Server
from greenserve.net.serving.stats import Stats
from greenserve.net.websockets.apps import WebSocketWSGI, accept_websocket
from greenserve.net.websockets.rooms import Room
from greenserve.net.websockets.websocket import WebSocket

__all__ = [
    "Connection",
    "Room",
    "Server",
    "Stats",
    "WebSocket",
    "WebSocketWSGI",
    "accept_websocket",
]
