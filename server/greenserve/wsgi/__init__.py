"""PEP 3333: one request in, one call of the app, one answer out.

Stands on http1/ for the bytes and on a Link (link.py) for moving them; knows no socket, listener or pool.
net/ makes an Exchange for each request and runs it on a green thread.
"""

from greenserve.wsgi.environ import base_environ, make_environ
from greenserve.wsgi.error_stream import ErrorStream
from greenserve.wsgi.exchange import Exchange, RequestTimeout
from greenserve.wsgi.file_wrapper import FileWrapper
from greenserve.wsgi.forked import end_if_forked
from greenserve.wsgi.forwarding import Forwarding, Peer
from greenserve.wsgi.input import RequestInput
from greenserve.wsgi.link import Link, WSGIApplication
from greenserve.wsgi.measuring import with_lengths
from greenserve.wsgi.service import Service
from greenserve.wsgi.tls_environ import client_environ, tls_environ

__all__ = [
    "ErrorStream",
    "Exchange",
    "FileWrapper",
    "Forwarding",
    "Link",
    "Peer",
    "RequestInput",
    "RequestTimeout",
    "Service",
    "WSGIApplication",
    "base_environ",
    "client_environ",
    "end_if_forked",
    "make_environ",
    "tls_environ",
    "with_lengths",
]
