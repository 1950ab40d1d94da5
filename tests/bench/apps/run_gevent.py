"""gevent's pywsgi without its log: `python -m tests.bench.apps.run_gevent module:app port pool|default certfile`.

Its answers leave in two sends, head and body, and it leaves Nagle's algorithm on: the second then waits for
the client's delayed ACK, and one connection gets 23 answers a second. That would measure the kernel's 40 ms
timer, so the listener here has TCP_NODELAY, which accepted sockets inherit.
"""

import sys
from importlib import import_module

from gevent import socket
from gevent.pywsgi import WSGIServer

if __name__ == "__main__":
    module, _, attribute = sys.argv[1].partition(":")
    app = getattr(import_module(module), attribute)
    pool = "default" if sys.argv[3] == "default" else int(sys.argv[3])
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", int(sys.argv[2])))
    listener.listen(2048)
    listener.setblocking(False)
    tls = {"certfile": sys.argv[4], "keyfile": sys.argv[4]} if sys.argv[4] else {}
    WSGIServer(listener, app, spawn=pool, log=None, **tls).serve_forever()
