"""The IO shells: listeners, connections, and the server that owns them.

The one layer that knows sockets and the hub. Bytes go down to http1/, requests to wsgi/; process/ starts and
stops what is here.
"""

from greenserve.net.connection import Connection
from greenserve.net.listener import Listener
from greenserve.net.server import Server
from greenserve.net.states import State
from greenserve.net.stats import Stats

__all__ = ["Connection", "Listener", "Server", "State", "Stats"]
