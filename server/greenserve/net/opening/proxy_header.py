"""The PROXY header, which a proxy that passes bytes on sends before anything else, read from hub callbacks.

ProxyHeaders is the server's: it says which peers may send one, and what it changes in environ. ProxyHeaderReading reads
the one of a connection, whose deadline holds for it. The grammar is in proxies/.

Invariant: where a header is demanded, nothing of a connection is taken for TLS or HTTP before it is there, whole; and
no response goes out before, since a peer that sends no header may not speak HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from greenserve.config import Config
from greenserve.errors import PeerGone, ProtocolError
from greenserve.logs.throttled import ThrottledLog
from greenserve.net.sockets.stream import HEAD_SIZE, Stream
from greenserve.proxies import ProxyHeader, ProxyReader, Trust
from greenserve.wsgi import Peer
from greenserve_hub.loop.hub import Hub

log = logging.getLogger("greenserve.error")


class ProxyHeaders:
    """The PROXY headers of a server that demands them."""

    def __init__(self, config: Config, hub: Hub) -> None:
        """As configured."""
        self.versions = config.proxy_protocol
        self._trust = Trust(config.proxy_allow_from)
        self._strangers = ThrottledLog(hub.clock, logging.INFO)
        self._errors = ThrottledLog(hub.clock, logging.WARNING)

    def admits(self, peer: str) -> bool:
        """Return True if a peer may send a header; else log it."""
        if self._trust.trusts(peer):
            return True
        self._strangers.log(
            "%s closed: it may send no PROXY header; if it is your proxy, add it to --proxy-allow-from",
            peer or "unix",
        )
        return False

    def complain(self, peer: str, error: ProtocolError) -> None:
        """Tell the log of a proxy that sent something else."""
        self._errors.log("%s closed: %s", peer or "unix", error.reason)

    def environ_of(
        self, header: ProxyHeader, base: dict[str, Any], peer: str, peer_port: str
    ) -> dict[str, Any]:
        """`base` for the requests of a connection that began with `header`."""
        environ = {**base, "greenserve.proxy_protocol": header}
        if header.source is not None:
            environ["greenserve.peer"] = Peer(peer, peer_port, *header.source)
        if header.destination is not None:
            environ["SERVER_NAME"], environ["SERVER_PORT"] = header.destination
        if header.tls is not None and header.tls.used:
            environ["wsgi.url_scheme"] = "https"
            environ["HTTPS"] = "on"
        return environ


class ProxyHeaderReading:
    """Reads the PROXY header of one connection."""

    __slots__ = ("_done", "_reader", "_stream")

    def __init__(
        self,
        stream: Stream,
        versions: str,
        done: Callable[[ProxyHeader | ProtocolError | None, bytes], object],
    ) -> None:
        """Begins to read. `done(header, rest)` is called once; with an error, or with None when the peer has gone."""
        self._stream = stream
        self._reader = ProxyReader(versions)
        self._done = done
        stream.descriptor.on_readable(self._on_readable)

    @property
    def begun(self) -> bool:
        """Return True if any byte has come."""
        return self._reader.begun

    def read_late(self) -> None:
        """Take what lies in the socket still, since an app held the hub. Switches: never."""
        self._stream.descriptor.stop_waiting_to_read()
        self._on_readable()

    def _on_readable(self) -> None:
        try:
            self._read_on()
        except Exception:
            log.exception("an error in the server while it read a PROXY header; the connection is closed")
            self._done(None, b"")

    def _read_on(self) -> None:
        stream = self._stream
        if stream.descriptor.closed:
            return
        try:
            data = stream.receive_now(HEAD_SIZE)
        except BlockingIOError:
            stream.descriptor.when_readable(self._on_readable)
            return
        except PeerGone:
            data = b""
        if not data:
            self._done(None, b"")
            return
        try:
            rest = self._reader.feed(data)
        except ProtocolError as error:
            self._done(error, b"")
            return
        if rest is None:
            stream.when_readable(self._on_readable)
        else:
            self._done(self._reader.header, rest)
