"""PEP 3333: one request in, one call of the app, one response out.

Uses http1/ for the bytes and a Link (link.py) to move them; knows no socket, listener or pool. net/ makes an Exchange
for each request and runs it on a green thread.

The wire is what stands behind Exchange and Response: the functions and framings of http1/, and the Link. HTTP/2 puts
its own functions and a stream's Link there; the Exchange stays.
"""

from greenserve.wsgi.environ.environ import base_environ, make_environ
from greenserve.wsgi.environ.file_wrapper import FileWrapper
from greenserve.wsgi.environ.forwarding import Forwarding, Peer
from greenserve.wsgi.environ.ordinary import Ordinary, find_ordinary
from greenserve.wsgi.environ.tls_environ import client_environ, tls_environ
from greenserve.wsgi.error_stream import ErrorStream
from greenserve.wsgi.exchange import Exchange, RequestCancelled, RequestTimeout, StreamEnded
from greenserve.wsgi.forked import end_if_forked
from greenserve.wsgi.input import RequestInput
from greenserve.wsgi.link import Link, WSGIApplication
from greenserve.wsgi.measuring import with_lengths
from greenserve.wsgi.response import Response
from greenserve.wsgi.service import Service

__all__ = [
    "ErrorStream",
    "Exchange",
    "FileWrapper",
    "Forwarding",
    "Link",
    "Ordinary",
    "Peer",
    "RequestCancelled",
    "RequestInput",
    "RequestTimeout",
    "Response",
    "Service",
    "StreamEnded",
    "WSGIApplication",
    "base_environ",
    "client_environ",
    "end_if_forked",
    "find_ordinary",
    "make_environ",
    "tls_environ",
    "with_lengths",
]
