"""The IO shells: listeners, connections, and the server that owns them.

The one layer that knows sockets and the hub. Bytes go down to http1/, requests to wsgi/; process/ starts and
stops what is here.
"""

from greenserve.net.connection import Connection
from greenserve.net.listener import Listener
from greenserve.net.rooms import Room
from greenserve.net.server import Server
from greenserve.net.states import State
from greenserve.net.stats import Stats
from greenserve.net.websocket_apps import WebSocketWSGI, accept_websocket
from greenserve.net.websockets import WebSocket

__all__ = [
    "Connection",
    "Listener",
    "Room",
    "Server",
    "State",
    "Stats",
    "WebSocket",
    "WebSocketWSGI",
    "accept_websocket",
]
