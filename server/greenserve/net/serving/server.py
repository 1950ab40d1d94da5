"""The server: its listeners, its connections, the pool that their requests run on, and how it stops.

Lives in one hub. process/ runs one for the command line, embedding.py one in a thread. The invariant: a
request that came whole is either run, in the order of coming, or answered that it was not; a stop ends with
nothing open.
"""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import asdict
from typing import Any, Self, TextIO, cast

from greenserve.config import BindAddress, Config
from greenserve.errors import ConfigError
from greenserve.http1 import HeadLimits
from greenserve.loading.frameworks import reads_by_length
from greenserve.loading.process_check import check_process
from greenserve.logs.access_log import AccessLog, open_access_log
from greenserve.net.hijacked.hijacked_socket import HijackedSocket
from greenserve.net.http.connection import Connection
from greenserve.net.http.endpoint import Endpoint
from greenserve.net.http.services import Record, Services
from greenserve.net.opening.handshake_queue import Handshakes
from greenserve.net.opening.proxy_header import Prefaces
from greenserve.net.serving.accepting import Accepting
from greenserve.net.serving.admission import Admission
from greenserve.net.serving.connections import Connections
from greenserve.net.serving.dates import DateLine
from greenserve.net.serving.request_queue import RequestQueue
from greenserve.net.serving.stats import Stats
from greenserve.net.serving.stopping import Stop
from greenserve.net.sockets.binding import name_and_port, open_listener, prepare
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.listener import Listener
from greenserve.net.sockets.send_budget import Unsent
from greenserve.net.sockets.timeouts import Timeouts
from greenserve.net.tls.contexts import TLS, open_tls
from greenserve.net.websockets.broadcasts import Broadcasts
from greenserve.net.websockets.options import WebSocketOptions
from greenserve.proxies import Trust
from greenserve.version import version
from greenserve.wsgi import (
    ErrorStream,
    Forwarding,
    Service,
    WSGIApplication,
    base_environ,
    with_lengths,
)
from greenserve_hub.deadlines import NEVER
from greenserve_hub.forks import leave_in_children
from greenserve_hub.greenthreads.greenthreads import GreenThread, spawn
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.loop.hub import Hub, get_hub
from greenserve_hub.loop.parking import TIMED_OUT, WaitQueue
from greenserve_hub.osthreads import threads
from greenserve_hub.unpatched import _thread

log = logging.getLogger("greenserve.error")


class Server:
    """Serves one app at one or more addresses, in the hub of the thread that calls start()."""

    hub: Hub
    queue: RequestQueue
    admission: Admission
    unsent: Unsent
    broadcasts: Broadcasts

    def __init__(
        self,
        app: WSGIApplication,
        config: Config | None = None,
        *,
        sockets: Sequence[socket.socket] = (),
        errors: TextIO | None = None,
        ssl_context: ssl.SSLContext | None = None,
        **settings: Any,
    ) -> None:
        """`settings` as in Config, where `config` gives none. `sockets` that listen already take the place of `bind`.
        `errors` is what apps get as wsgi.errors, sys.stderr by default. `ssl_context` takes the place of `certfile`
        and all that goes with it.

        Raises ConfigError for a setting that is unknown or wrong, and where eventlet or gevent has patched the process.
        """
        check_process()
        if config is not None and settings:
            raise ConfigError(f"give a Config or settings, not both: {', '.join(settings)}")
        self.config = config or Config.from_settings(**settings)
        self.counts = Counts()
        self.access_log: AccessLog | None = None
        config = self.config
        software = f"greenserve/{version()}"
        server_line = "Server: greenserve\r\n" if config.server_header else ""
        bodies = config.chunked_bodies
        if bodies == "buffer" or (bodies == "auto" and reads_by_length(app)):
            app = with_lengths(app)
        self.service = Service(
            app,
            DateLine(),
            server_line,
            config.sendfile,
            bool(config.keep_alive),
            config.limit_request_discard,
            WebSocketOptions.of(config),
        )
        self._software = software
        self._errors = errors or cast(TextIO, ErrorStream())
        self._sockets = tuple(sockets)
        self._ssl_context = ssl_context
        self._tls: TLS | None = None
        self.listeners: list[Listener] = []
        self._redirectors: list[Listener] = []
        self._acceptors: list[GreenThread[None]] = []
        self.connections = Connections(self)
        self.callbacks = GreenPool(sys.maxsize)  # what WebSockets call; one each at most, so they bound it
        self._stop = Stop(self)
        self._end = WaitQueue()
        self._failure: Exception | None = None  # why it has stopped by itself
        self._started = False
        self._ended = threads.Event()

    # Life -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen and begin to accept. Switches: never.

        ConfigError when an address cannot be had; nothing is left open then.
        """
        if self._started:
            raise ConfigError("a server starts once: make another")
        self.hub = get_hub()
        self._started = True
        self.hub.door.users += 1  # stop() comes from anywhere: waiting for it is no deadlock
        config = self.config
        self.queue = RequestQueue(self.hub, config.pool, config.pool_overflow, config.limit_queue)
        self.admission = self.connections.admission = Admission(self.hub, config, self.connections)
        self.unsent = Unsent(self.hub, config.limit_unsent)
        self.broadcasts = Broadcasts(self.hub)
        self.handshakes = Handshakes(self.hub)
        try:
            self._tls = tls = open_tls(config, self._ssl_context)
            if tls is not None:
                self.service.sendfile = False
            self.access_log = open_access_log(config)
            services = self._services()
            for sock in self._listening_sockets():
                self.listeners.append(self._listener(services, sock, tls, self.queue.submit))
                if self._sockets:
                    self.listeners[-1].watch()
            for sock in self._open_all(config.redirect_addresses):
                self._redirectors.append(self._listener(services, sock, None, self._redirect))
        except BaseException:
            for listener in self._all_listeners:
                listener.close()
            self.has_stopped()
            raise
        if tls is not None:
            tls.watch(self.hub, self.reload_or_tell)
        self._acceptors = [spawn(listener.accept_forever) for listener in self._all_listeners]
        leave_in_children(self)

    def _services(self) -> Services:
        config = self.config
        return Services(
            hub=self.hub,
            service=self.service,
            context=copy_context(),
            queue=self.queue,
            slots=self.queue.slots,
            batch=self.queue.batch,
            members=self.connections,
            timeouts=Timeouts(config),
            head_limits=HeadLimits(
                config.limit_request_line,
                config.limit_request_field_size,
                config.limit_request_fields,
                config.limit_request_head,
                config.header_map == "refuse",
            ),
            limit_request_body=config.limit_request_body,
            limit_websockets=config.limit_websockets,
            event_stream_retry=config.event_stream_retry,
            forwarding=Forwarding(
                Trust(config.forwarded_allow_ips), config.forwarded_headers, config.forwarded_hops
            ),
            budget=self.unsent,
            counts=self.counts,
            handshakes=self.handshakes,
            proxy_headers=Prefaces(config, self.hub) if config.proxy_protocol != "off" else None,
            recount=self.admission.recount,
            log_access=None if self.access_log is None else self._log_access,
            is_stopping=lambda: self.is_stopping,
            restarts=lambda: self._stop.restarts,
            offer_upgrade=self._offer_upgrade,
            callbacks=self.callbacks,
            broadcasts=self.broadcasts,
        )

    def _offer_upgrade(self, connection: Connection, environ: dict[str, Any]) -> None:
        environ["werkzeug.socket"] = HijackedSocket(
            connection, environ, self.config.ws_close_timeout or NEVER
        )

    def _listener(
        self,
        services: Services,
        sock: socket.socket,
        tls: TLS | None,
        submit: Callable[[Connection], None],
    ) -> Listener:
        scheme = "http" if tls is None else "https"
        name, port = name_and_port(sock, scheme)
        endpoint = Endpoint(base_environ(scheme, name, port, self._software, self._errors), tls, submit)
        taker = Accepting(services, endpoint, self.admission, self.connections, self.lose)
        return Listener(self.hub, sock, scheme, self.counts, taker)

    def _redirect(self, connection: Connection) -> None:
        connection.redirect(self.port or 443)

    def _listening_sockets(self) -> list[socket.socket]:
        if self._sockets:
            return [prepare(sock) for sock in self._sockets]
        return self._open_all(self.config.addresses)

    def _open_all(self, addresses: Sequence[BindAddress]) -> list[socket.socket]:
        config = self.config
        opened: list[socket.socket] = []
        try:
            for address in addresses:
                sock = open_listener(address, config.backlog, config.reuse_port, config.socket_mode)
                opened.append(sock)  # one by one, so that those before a bad one can be closed
        except BaseException:
            for sock in opened:
                sock.close()
            raise
        return opened

    def stop(
        self, graceful: float | None = None, *, drain_delay: float = 0.0, restarts: bool = False
    ) -> None:
        """Stop and return when all is closed.

        Running requests get `graceful` s, graceful_timeout by default. Within it kept connections may ask once more for
        `drain_delay` s, so that a proxy in front loses no request; a SIGTERM gives them the setting of this name.
        WebSockets are closed with 1001, or with 1012 where `restarts` says that another server will follow, and get as
        long to agree. From any OS thread and any green thread, also a request's own; repeatable, and a second call with
        a shorter time hurries the first. One that was never started will not start any more. Switches: in the server's
        own thread; another blocks.
        """
        if not self._started:
            self._started = True
            self._ended.set()
        if self._ended.is_set():
            return
        if self.hub.thread_id == _thread.get_ident():
            self._stop.begin(graceful, drain_delay, restarts)
        else:
            self.hub.call_from_thread(self._stop.begin, graceful, drain_delay, restarts)
        self._wait(None)

    def leave_behind(self) -> None:
        """For the child of a fork: here it has stopped, without a word to anybody. Switches: never.

        No client can be answered twice then, whatever the app does in the child, and the port is free when this
        process, the parent, lets go of it.
        """
        self.access_log = None
        given = self.config.addresses + self.config.redirect_addresses
        for listener in self._all_listeners:
            listener.leave_behind(given)
        self.queue.leave_behind()
        self.connections.leave_behind()
        self.admission.turned_away.leave_behind()
        self._ended = threads.Event()  # its lock may be held by an OS thread that has not come along
        self._ended.set()

    def release(self) -> None:
        """Close whatever is open still, without waiting: the server's thread ends. Switches: never."""
        for listener in self._all_listeners:
            listener.close()
        for connection in self.connections:
            connection.close()
        if self._started:
            self.queue.pool.release_idle()
            self.callbacks.release_idle()
            self.has_stopped()

    def has_stopped(self) -> None:
        """All is closed: tell who waits. Repeatable. Switches: never."""
        if self._ended.is_set():
            return
        if self.access_log is not None:
            self.access_log.close()
        if self._tls is not None:
            self._tls.close()
        self.admission.turned_away.close()
        self.hub.door.users -= 1
        self._ended.set()
        self._end.wake_all()

    def reload_certificates(self) -> None:
        """Read certfile, keyfile and ca_certs anew, for connections from now on; those that are open keep theirs.

        From any OS thread. Blocks for some milliseconds a certificate. Raises ConfigError where they can't be used, and
        those of before stay. Without this call it happens by itself some seconds after the files have changed.
        """
        if self._tls is None:
            raise ConfigError("this server speaks no TLS: it has no certfile")
        self._tls.reload()

    def reload_or_tell(self) -> None:
        """The same, for a signal: what goes wrong is told in the log. Switches: always."""
        try:
            threads.execute(self.reload_certificates)
        except ConfigError as error:
            log.error("the certificates can't be reloaded, those of before stay: %s", error)

    def __enter__(self) -> Self:
        """Start, unless it has been."""
        if not self._started:
            self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop gracefully."""
        self.stop()

    def lose(self, error: Exception) -> None:
        """A listener has failed for good: where no other is left, stop. Switches: never."""
        if all(listener.is_lost for listener in self.listeners) and not self.is_stopping:
            self._failure = error
            self._stop.begin(None, 0.0, False)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped; whether it has. Switches: in its own thread; another blocks.

        OSError when it has stopped by itself, since none of its sockets listens any more.
        """
        ended = self._wait(timeout)
        if ended and self._failure is not None:
            raise self._failure
        return ended

    def _wait(self, timeout: float | None) -> bool:
        if self._ended.is_set():
            return True
        if not self._started or self.hub.thread_id != _thread.get_ident():
            return self._ended.wait(timeout)
        return self._end.park("the end of", self, timeout) is not TIMED_OUT

    def __repr__(self) -> str:
        """Where it listens."""
        return f"<Server {' '.join(listener.url for listener in self.listeners)}>"

    @property
    def urls(self) -> list[str]:
        """Where clients on this machine find it, in the order of `bind`."""
        return [listener.url for listener in self.listeners]

    @property
    def places(self) -> list[str]:
        """The same, and where each says less than all: for the log."""
        return [listener.url + listener.reach for listener in self.listeners]

    @property
    def redirect_urls(self) -> list[str]:
        """Where clients are sent on to `url`, in the order of `redirect_bind`."""
        return [listener.url for listener in self._redirectors]

    @property
    def url(self) -> str:
        """The first of `urls`, without a slash at its end."""
        return self.urls[0]

    @property
    def address(self) -> Any:
        """The first listening socket's own address: (host, port) or a path."""
        name = self.listeners[0].name
        return name[:2] if isinstance(name, tuple) else name

    @property
    def port(self) -> int:
        """The first address's port; 0 for a unix socket."""
        return self.address[1] if isinstance(self.address, tuple) else 0

    @property
    def stats(self) -> Stats:
        """What it has done so far and is doing now."""
        return Stats(
            connections=len(self.connections),
            active=self.queue.pool.running() - self.queue.slots.upgraded,
            websockets=self.connections.upgraded,
            queued=self.queue.waiting,
            waiting_for_client=self.queue.slots.lent,
            requests=self.queue.begun,
            turned_away=self.admission.turned_away.count,
            **asdict(self.counts),
        )

    @property
    def _all_listeners(self) -> list[Listener]:
        return self.listeners + self._redirectors

    # For connections and listeners ---------------------------------------------------------------------

    @property
    def is_stopping(self) -> bool:
        """Whether a stop has begun."""
        return self._stop.has_begun

    @property
    def is_draining(self) -> bool:
        """Whether a stop has begun, and clients may still ask: what tells a load balancer not to send more."""
        return self._stop.has_begun and self.service.parks

    @property
    def restarts(self) -> bool:
        """Whether the stop said that another server will follow."""
        return self._stop.restarts

    def close_listeners(self) -> None:
        """Take up who has connected already, and accept no more. Switches: never."""
        for listener in self._all_listeners:
            listener.accept_rest()
            listener.close()

    def _log_access(self, exchange: Record, began: float) -> None:
        """Write the access log's line; `began` by the hub's clock."""
        if self.access_log is not None:  # else this is the child of a fork
            exchange.seconds = self.hub.clock() - began
            exchange.began = time.time() - exchange.seconds
            self.access_log.log(exchange)
