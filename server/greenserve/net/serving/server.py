"""Server: one app served at one or more addresses, in one hub; what it is made of, and its face to programs.

process/ runs one for the command line, embedding.py one in a thread. Listeners holds its sockets, Stop ends it. The
invariant: a request that came whole is either run, in the order of coming, or answered that it was not; a stop ends
with nothing open.
"""

from __future__ import annotations

import logging
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Self, TextIO, cast

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.loading.frameworks import reads_by_length
from greenserve.loading.process_check import check_process
from greenserve.logs.access_log import AccessLog, open_access_log
from greenserve.metrics.tally import Tally
from greenserve.net.hijacked.hijacked_socket import HijackedSocket
from greenserve.net.http.request import Request
from greenserve.net.http.services import Carrier, Services
from greenserve.net.opening.endpoint import Endpoint
from greenserve.net.opening.handshake_queue import Handshakes
from greenserve.net.opening.opening import Entrance
from greenserve.net.opening.proxy_header import ProxyHeaders
from greenserve.net.serving import parts
from greenserve.net.serving.accepting import Accepting
from greenserve.net.serving.admission import Admission, PeerCounts
from greenserve.net.serving.connections import Connections
from greenserve.net.serving.listeners import Given, Listeners
from greenserve.net.serving.parts import Manners
from greenserve.net.serving.request_queue import RequestQueue
from greenserve.net.serving.stats import Stats, stats_of
from greenserve.net.serving.stopping import End, Stop
from greenserve.net.sockets.binding import name_and_port
from greenserve.net.sockets.counts import Counts
from greenserve.net.sockets.listener import Listener
from greenserve.net.sockets.send_budget import SendBudget
from greenserve.net.tls.contexts import TLS, open_tls
from greenserve.net.websockets.broadcasts import Broadcasts
from greenserve.version import VERSION
from greenserve.wsgi import ErrorStream, Service, WSGIApplication, base_environ, find_ordinary, with_lengths
from greenserve_hub.deadlines import NEVER
from greenserve_hub.forks import leave_in_children
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.osthreads import threads

log = logging.getLogger("greenserve.error")


class Server:
    """Serves one app at one or more addresses, in the hub of the thread that calls start()."""

    hub: Hub
    service: Service
    queue: RequestQueue
    admission: Admission
    unsent: SendBudget
    broadcasts: Broadcasts
    handshakes: Handshakes

    def __init__(
        self,
        app: WSGIApplication,
        config: Config | None = None,
        *,
        sockets: Sequence[socket.socket] = (),
        given: Given | None = None,
        errors: TextIO | None = None,
        ssl_context: ssl.SSLContext | None = None,
        manners: Manners = parts.ORDINARY,
        **settings: Any,
    ) -> None:
        """`settings` as in Config, if there is no `config`. `sockets` that listen already take the place of `bind`;
        `given` ones, of a master, that of `redirect_bind` too, and their files stay.
        `errors` is the wsgi.errors of apps, sys.stderr by default. `ssl_context` takes the place of `certfile` and the
        settings that go with it. `manners`: for programs that stand in for another server.

        Raises ConfigError for an unknown or wrong setting, and if eventlet or gevent has patched the process.
        """
        check_process()
        if config is not None and settings:
            raise ConfigError(f"give a Config or settings, not both: {', '.join(settings)}")
        self.config = config = config or Config.from_settings(**settings)
        bodies = config.chunked_bodies
        if bodies == "buffer" or (bodies == "auto" and reads_by_length(app)):
            app = with_lengths(app)
        self._app = app
        self._errors = errors or cast(TextIO, ErrorStream())
        self._ssl_context = ssl_context
        self._manners = manners
        self._tls: TLS | None = None
        self.access_log: AccessLog | None = None
        self.counts = Counts()
        self.tally = Tally()
        self.listening = Listeners(config, sockets, given)
        self._given = given
        self._peers = PeerCounts(config)
        self.connections = Connections(self, self._peers.add, self._peers.remove)
        self.callbacks = GreenPool(sys.maxsize)  # of WebSockets, one each at most: their number bounds it
        self._stop = Stop(self)
        self._end = End(self)
        self._failure: Exception | None = None  # why it has stopped by itself
        self._started = False

    # What it is made of ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen and begin to accept. Switches: never.

        Raises ConfigError for an address that is not to be had; nothing is left open then.
        """
        if self._started:
            raise ConfigError("a server starts once: make another")
        self.hub = hub = get_hub()
        self._started = True
        hub.expect_calls()  # stop() comes from anywhere: waiting for it is no deadlock
        config = self.config
        self.queue = RequestQueue(hub, config.pool, config.pool_overflow, config.limit_queue, self.tally)
        self.admission = Admission(hub, config, self._peers, self.connections)
        self.unsent = SendBudget(hub, config.limit_unsent)
        self.broadcasts = Broadcasts(hub)
        self.handshakes = Handshakes(hub)
        try:
            given = self._given
            self._tls = tls = given.tls if given is not None else open_tls(config, self._ssl_context)
            self.access_log = open_access_log(
                config.access_logfile,
                config.access_log_format,
                config.access_log_skip,
                self.queue.batch.call_behind,
                hub.clock,
            )
            self.service = parts.make_service(config, self._app, tls is not None, self._manners)
            self._services = services = self._make_services()
            self.listening.open(
                lambda sock: self._listener(services, sock, tls, self.queue.submit),
                lambda sock: self._listener(services, sock, None, self._redirect),
            )
        except BaseException:
            self.listening.close()
            self.has_stopped()
            raise
        if tls is not None:
            tls.watch(hub, self.reload_or_tell)
        self.listening.accept()
        leave_in_children(self)

    def _make_services(self) -> Services:
        config = self.config
        head_limits = parts.make_head_limits(config, self._manners)
        forwarding = parts.make_forwarding(config, self._manners)
        return Services(
            hub=self.hub,
            service=self.service,
            context=copy_context(),
            queue=self.queue,
            slots=self.queue.slots,
            batch=self.queue.batch,
            members=self.connections,
            timeouts=parts.make_timeouts(config),
            head_limits=head_limits,
            ordinary=find_ordinary(head_limits, forwarding),
            limit_request_body=config.limit_request_body,
            prefetches=self._manners.prefetches,
            limit_websockets=config.limit_websockets,
            event_stream_retry=config.event_stream_retry,
            forwarding=forwarding,
            request_starts=parts.make_request_starts(config),
            departures=parts.make_departures(config, self.hub, self.counts),
            budget=self.unsent,
            counts=self.counts,
            tally=self.tally,
            entrance=Entrance(
                hub=self.hub,
                counts=self.counts,
                handshakes=self.handshakes,
                proxy_headers=ProxyHeaders(config, self.hub) if config.proxy_protocol != "off" else None,
                recount=self.admission.recount,
            ),
            log_access=self._manners.log_access or (None if self.access_log is None else self.access_log.log),
            is_stopping=lambda: self.is_stopping,
            restarts=lambda: self._stop.restarts,
            offer_upgrade=self._offer_upgrade,
            callbacks=self.callbacks,
            broadcasts=self.broadcasts,
        )

    def _offer_upgrade(self, connection: Carrier, environ: dict[str, Any]) -> None:
        environ["werkzeug.socket"] = HijackedSocket(
            connection, environ, self.config.ws_close_timeout or NEVER
        )

    def _listener(
        self,
        services: Services,
        sock: socket.socket,
        tls: TLS | None,
        submit: Callable[[Request], None],
    ) -> Listener:
        scheme = "http" if tls is None else "https"
        taker = self._taker(services, sock, scheme, tls, submit)
        return Listener(self.hub, sock, scheme, self.counts, taker, self._given is None)

    def _taker(
        self, services: Services, sock: socket.socket, scheme: str, tls: TLS | None, submit: Any
    ) -> Accepting:
        name, port = name_and_port(sock, scheme)
        environ = base_environ(scheme, name, port, f"greenserve/{VERSION}", self._errors)
        environ["greenserve.is_stopping"] = services.is_stopping
        environ.update(self._manners.environ)
        endpoint = Endpoint(environ, tls, submit)
        holds_back = None if self._given is None else self._given.holds_back(sock)
        return Accepting(services, endpoint, self.admission, self.connections, self.lose, holds_back)

    def serve_connection(self, sock: socket.socket, address: Any) -> None:
        """Serve a connection that other code has accepted, and return when it is closed. Switches: always.

        `sock` is given up; TLS begins on it if the server has it. If this green thread is killed, the connection ends.
        """
        scheme = "http" if self._tls is None else "https"
        self._taker(self._services, sock, scheme, self._tls, self.queue.submit).serve_one(sock, address)

    def _redirect(self, request: Request) -> None:
        request.redirect(self.port or 443)

    def reload_certificates(self) -> None:
        """Read certfile, keyfile and ca_certs anew, for new connections; open ones keep the old certificates.

        From any OS thread. Blocks for some milliseconds a certificate. Raises ConfigError if they can't be used: the
        current ones stay. A change of the files is noticed within seconds also without this call.
        """
        if self._tls is None:
            raise ConfigError("this server speaks no TLS: it has no certfile")
        self._tls.reload()

    def reload_or_tell(self) -> None:
        """The same, for a signal: an error is logged. Switches: always."""
        try:
            threads.execute(self.reload_certificates)
        except ConfigError as error:
            log.error("certificate reload failed, keeping the current ones: %s", error)

    # Its end --------------------------------------------------------------------------------------------

    def stop(
        self,
        graceful: float | None = None,
        *,
        drain_delay: float = 0.0,
        restarts: bool = False,
        jitter: float = 0.0,
    ) -> None:
        """Stop and return when all is closed.

        Running requests get `graceful` s, graceful_timeout by default. Within it kept connections may ask once more for
        `drain_delay` s, so that a proxy in front loses no request; a SIGTERM gives them the setting of this name.
        WebSockets are closed with 1001, or with 1012 if another server `restarts` in its place, and get as long to
        agree; they and event streams end one after another within `jitter` s (a SIGTERM: ws_restart_jitter). From any
        OS thread and any green thread, also a request's own; repeatable, and a second call with a shorter time hurries
        the first. A server that was never started can not be started afterwards. Switches: in the server's own thread;
        in another one it blocks.
        """
        if not self._started:
            self._started = True
            self._end.come()
        if not self._end.has_come():
            self._stop.begin(graceful, drain_delay, restarts, jitter)
            self._wait(None)

    def lose(self, error: Exception) -> None:
        """A listener has failed for good: stop if there is no other. Switches: never."""
        if self.listening.are_lost and not self.is_stopping:
            self._failure = error
            self._stop.begin()

    def has_stopped(self) -> None:
        """Close what connections used, and wake whatever waits for the end. Repeatable. Switches: never."""
        if self._end.has_come():
            return
        if self.access_log is not None:
            self.access_log.close()
        if self._tls is not None:
            self._tls.close()
        self.admission.rejected.close()
        self.hub.stop_expecting_calls()
        self._end.come()

    def release(self) -> None:
        """Close whatever is still open, without waiting: the server's thread ends. Switches: never."""
        self.listening.close()
        for connection in self.connections:
            connection.close()
        if self._started:
            self.queue.pool.release_idle()
            self.callbacks.release_idle()
            self.has_stopped()

    def leave_behind(self) -> None:
        """For the child of a fork: it has stopped there, and tells nothing of it. Switches: never.

        So no client is answered twice, whatever the app does in the child, and the port is free when this process, the
        parent, closes it.
        """
        if self.access_log is not None:
            self.access_log.leave_behind()
            self.access_log = None
        self.listening.leave_behind()
        self.queue.leave_behind()
        self.connections.leave_behind()
        self.admission.rejected.leave_behind()
        self._end.leave_behind()

    def wait(self, timeout: float | None = None) -> bool:
        """Return True when the server has stopped, False after `timeout` s. Switches: in its thread; another blocks.

        Raises OSError if it has stopped by itself, since none of its sockets listens any more.
        """
        ended = self._wait(timeout)
        if ended and self._failure is not None:
            raise self._failure
        return ended

    def _wait(self, timeout: float | None) -> bool:
        return self._end.has_come() or self._end.wait(self.hub if self._started else None, timeout)

    def __enter__(self) -> Self:
        """Start, unless it has been started."""
        if not self._started:
            self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop gracefully."""
        self.stop()

    # Its face -------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        """Where it listens."""
        return f"<Server {' '.join(self.urls)}>"

    @property
    def listeners(self) -> list[Listener]:
        """The listeners of `bind`, in this order."""
        return self.listening.serving

    @property
    def urls(self) -> list[str]:
        """Where clients on this machine find it, in the order of `bind`."""
        return [listener.url for listener in self.listeners]

    @property
    def places(self) -> list[str]:
        """The same, for the log: with a remark where one is not for all clients."""
        return [listener.url + listener.reach for listener in self.listeners]

    @property
    def redirect_urls(self) -> list[str]:
        """Where clients are redirected to `url`, in the order of `redirect_bind`."""
        return [listener.url for listener in self.listening.redirecting]

    @property
    def url(self) -> str:
        """The first of `urls`, without a slash at its end."""
        return self.urls[0]

    @property
    def address(self) -> Any:
        """The first listening socket's own address: (host, port) or a path."""
        return self.listening.address

    @property
    def port(self) -> int:
        """The first address's port; 0 for a unix socket."""
        return self.listening.port

    @property
    def is_stopping(self) -> bool:
        """Return True once a stop has begun."""
        return self._stop.has_begun

    @property
    def is_draining(self) -> bool:
        """Return True if a stop has begun and clients may still ask: a load balancer should send no more."""
        return self._stop.has_begun and self.service.parks

    @property
    def stats(self) -> Stats:
        """What it has done so far and is doing now."""
        return stats_of(self)
