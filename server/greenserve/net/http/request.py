"""One request of a connection: it waits for a slot, runs on a green thread, and says what becomes of the connection.

The Link of its Exchange, and the Job that the queue runs; it lives for one request. The invariants: after a response
was interrupted half sent, by a Timeout of the app's own say, nothing more goes out; while a request waits for its
client, its slot is there for others.

Here HTTP/2 would come in: its streams are requests of the same kind, on one connection that frames what they send.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from greenlet import GreenletExit, greenlet

from greenserve.errors import PeerGone, ProtocolError
from greenserve.http1 import BodyFraming, RequestHead
from greenserve.net.http.activity import Activity, Host
from greenserve.net.http.draining import Draining, close_after
from greenserve.net.http.ending_early import TimeLimit, must_be_limitable
from greenserve.net.http.patience import Patience
from greenserve.net.http.refusals import (
    feeds_an_event_source,
    has_given_up,
    must_be_in_time,
    redirect_to_https,
    waited_before,
    why_late,
)
from greenserve.net.http.sending import send_early
from greenserve.net.http.services import Whole
from greenserve.net.http.states import State
from greenserve.net.http.upgrading import Life, Make, Upgrade, counted, must_be_upgradable, offer_upgrade
from greenserve.net.sockets.stream import JOIN_BELOW, READ_SIZE, Side
from greenserve.wsgi import Exchange, StreamEnded, make_environ
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.hub import MAX_TURN

log = logging.getLogger("greenserve.error")

# An enum's member is looked up by Python code, and these are asked for with every request.
_PARKED: Final = State.PARKED
_QUEUED: Final = State.QUEUED
_RUNNING: Final = State.RUNNING
_CLOSED: Final = State.CLOSED
_BEFORE_QUEUED: Final = (State.HEAD, _PARKED)
_WITH_A_CLIENT: Final = (_RUNNING, State.UPGRADED)
_SUBMITTED: Final = (*_BEFORE_QUEUED, State.BODY)
_TOLD_OF: Final = (*_SUBMITTED, _QUEUED, _RUNNING, State.SENDING)


class Request(Activity):
    """A request whose head has come."""

    __slots__ = (
        "_exchange",
        "_is_broken",
        "_limit",
        "_patience",
        "_upgrade",
        "_whole",
        "_worker",
        "connection",
        "framing",
        "head",
        "since",
    )

    since: float  # when it was whole, by the hub's clock; known from when it is queued or runs

    def __init__(self, connection: Host, head: RequestHead) -> None:
        """`framing` is set behind it, of a request with a body."""
        self.connection = connection
        self.head = head
        self.framing: BodyFraming | None = None
        self._exchange: Exchange | None = None
        self._worker: greenlet | None = None  # the green thread that it runs on
        self._whole: Whole | None = None  # for the batch: its response, which is not sent yet
        self._is_broken = False  # a response was interrupted half sent, or is being sent
        self._limit: TimeLimit | None = None  # of the app's own, or one that is over
        self._upgrade: Upgrade | None = None
        self._patience: Patience | None = None  # made when we first have to wait for its client

    def __str__(self) -> str:
        """See Activity."""
        return f" {self.head.method} {self.head.target}"

    # Queued: see Job ---------------------------------------------------------------------------------------

    def queue(self) -> bool:
        """See Job."""
        connection = self.connection
        if connection.state is _QUEUED:
            return False
        if connection.state is not _CLOSED:
            services = connection.services
            connection.enter(_QUEUED, self)
            self.since = now = services.hub.now
            connection.deadline.arm(
                now + services.timeouts.queue_timeout - waited_before(connection, self.head)
            )
        return True

    def refuse_stopping(self) -> None:
        """See Job."""
        self.connection.services.counts.shed_stopping += 1
        self.refuse_busy("the server is stopping")

    def refuse_busy(self, reason: str) -> None:
        """See Job."""
        if self.connection.state is not _CLOSED:
            self.connection.refuse(ProtocolError(503, reason), self, ("Retry-After", "1"))

    def redirect(self, port: int) -> None:
        """Say where the same is to be had with TLS, in place of running. Switches: never."""
        redirect_to_https(self.connection, self, port)

    def broke(self) -> None:
        """See Job."""
        self.connection.broke()

    def close(self) -> None:
        """See Job."""
        self.connection.close()

    # Running -----------------------------------------------------------------------------------------------

    def run(self, worker: greenlet, now: float) -> bool:  # noqa: C901  # one pass, on the path of every request
        """See Job. Switches: as the app does."""
        connection = self.connection
        state = connection.state
        if state is _PARKED:
            self.since = now
        elif state is _CLOSED or (state is _QUEUED and has_given_up(connection, self.since)):
            return False
        elif state is not _QUEUED:
            self.since = now
        services = connection.services
        self._worker = worker
        connection.run_until(now + services.timeouts.request_timeout)
        head = self.head
        framing = self.framing
        try:
            environ = make_environ(
                connection.environ, head, connection.peer, connection.peer_port, services.forwarding
            )
            if head.tells_start:
                must_be_in_time(connection, head, state)
            if framing is None:
                self._exchange = exchange = Exchange(services.service, self, head, environ)
            else:
                ahead, connection.ahead = connection.ahead, b""
                self._exchange = exchange = Exchange(services.service, self, head, environ, framing, ahead)
        except ProtocolError as error:
            self._worker = None
            connection.refuse(error, self, *error.headers)
            return False
        context = services.context.copy()
        try:
            if services.departures is None:
                context.run(exchange.run)
            else:
                services.departures.run(self, context.run, exchange.run)
        except BaseException as error:  # killed while it dealt with the app's own error
            self._leave(exchange, error)
            raise
        self._worker = None
        if self._upgrade is not None:
            self._leave(exchange)
            return False
        tally, response = services.tally, exchange.response
        tally.statuses[response.status] += 1
        tally.bytes_sent += response.bytes_sent
        if framing is not None:
            tally.bytes_received += exchange.input.received
        if services.log_access is not None:
            services.log_access(exchange, now)
        if connection.state is _CLOSED:
            self._exchange = None  # which knows this request: a circle otherwise
        elif self._whole is None:
            self.sent()
        else:
            services.batch.add(self._whole)
        return True

    def _leave(self, exchange: Exchange, error: BaseException | None = None) -> None:
        if self._upgrade is not None:
            self._worker = self._exchange = None
            failure = exchange.response.take_failure()
            self._upgrade.app_left(failure if error is None else error)

    def sent(self) -> None:
        """See Activity: see to what is left of this request, or has come of the next."""
        connection, exchange = self.connection, self._exchange
        if exchange is None:
            connection.linger()  # it was refused
            return
        self._exchange = None
        response = exchange.response
        framing = self.framing
        if self._is_broken or not response.keep_alive:
            close_after(connection, framing, response, self._is_broken)
        elif framing is None:
            connection.next(connection.ahead)
        elif framing.done:
            connection.next(framing.rest)
        else:
            Draining(connection, self, framing, self.patience.body).begin(exchange.input.take_ahead())

    # The activity ------------------------------------------------------------------------------------------

    @property
    def may_ask(self) -> bool:
        """See Activity."""
        exchange = self._exchange
        if exchange is None:
            return self.connection.state in _BEFORE_QUEUED
        return exchange.response.head is not None and exchange.response.keep_alive

    def expired(self) -> None:
        """See Activity."""
        connection = self.connection
        services = connection.services
        if connection.state is _QUEUED:
            services.queue.unqueue(self)
            self.refuse_busy(why_late(services, self.since))
        elif self._worker is not None:
            # Again until it ends: an app may have caught the first.
            connection.deadline.arm(services.hub.now + 1.0)
            limit = self._limit = self._limit or TimeLimit(None, False)
            self._worker.throw(limit.error(services.counts))

    def interrupt(self, error: BaseException) -> bool:
        """See Cancellable."""
        exchange = self._exchange
        if self._worker is None or exchange is None or exchange.response.is_over:
            return False
        self._worker.throw(error)
        return True

    @property
    def lasts(self) -> bool:
        """See Activity."""
        exchange = self._exchange
        return exchange is not None and feeds_an_event_source(exchange.response, self.head)

    @property
    def running(self) -> tuple[float, greenlet] | None:
        """See Activity."""
        return None if self._worker is None else (self.since, self._worker)

    def drain(self) -> None:
        """See Activity: an EventSource comes back by itself, so its stream ends here."""
        if self.lasts:
            self.connection.services.hub.call_soon(self.interrupt, StreamEnded())

    def end(self) -> str | None:
        """See Activity."""
        connection = self.connection
        told = repr(connection) if connection.state in _TOLD_OF else None
        if connection.state in _SUBMITTED:
            # Complete in this turn: the queue has not looked at it yet.
            connection.services.queue.unqueue(self)
            self.refuse_stopping()
            return told
        if self._worker is not None:
            self._worker.throw(GreenletExit())
        connection.close()
        return told

    def closed(self) -> None:
        """See Activity."""
        if self._worker is None:
            self._exchange = None  # which knows this request: a circle otherwise

    # The Link ----------------------------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """See Link."""
        return self.connection.peer

    @property
    def peer_port(self) -> str:
        """See Link."""
        return self.connection.peer_port

    def send(self, data: bytes) -> None:
        """See Link."""
        connection = self.connection
        hub = connection.services.hub
        if hub.clock() - hub.now > MAX_TURN:
            sleep(0)
        self._begun()
        self._sending(connection.stream.send, data)

    def _begun(self) -> None:
        """The response has begun: request_timeout was for the time until then."""
        if self._limit is None or not self._limit.is_for_the_rest:
            self.connection.deadline.disarm()

    def send_interim(self, data: bytes) -> None:
        """See Link."""
        self._sending(self.connection.stream.send, data)

    def send_pieces(self, first: bytes, second: bytes) -> None:
        """See Link."""
        if len(second) < JOIN_BELOW:
            self.send(first + second)
            return
        self._begun()
        self._sending(self.connection.stream.send_pieces, first, second)

    def send_last(self, head: bytes, body: bytes) -> None:
        """See Link."""
        if self._is_broken:
            raise PeerGone("an earlier part of the answer was interrupted: nothing can follow it")
        connection = self.connection
        self._whole = (connection, head + body, b"") if len(body) < JOIN_BELOW else (connection, head, body)

    def send_soon(self, head: bytes, body: bytes) -> None:
        """See Link."""
        is_held = len(body) < JOIN_BELOW and self.connection.services.batch.hold(self)
        (self.send_last if is_held else self.send_pieces)(head, body)

    def send_held(self) -> None:
        """See Held."""
        whole = self._whole
        if whole is not None and self._worker is not None and self.connection.state is not _CLOSED:
            self._begun()
            rest = send_early(self.connection, whole[1])
            self._whole = (self.connection, rest, b"") if rest else None

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """See Link."""
        return int(self._sending(self.connection.stream.send_file, fd, offset, count))

    def _sending(self, send: Callable[..., Any], *args: Any) -> Any:
        if self._is_broken:
            raise PeerGone("an earlier part of the answer was interrupted: nothing can follow it")
        self._is_broken = True
        try:
            result = send(*args, self._wait_to_send)
        except OSError as error:
            self._is_broken = isinstance(error, PeerGone)  # else sendfile, which has sent nothing
            raise
        self._is_broken = False
        return result

    def receive(self) -> bytes:
        """See Link."""
        data = self.connection.stream.receive(READ_SIZE, self._wait_to_receive)
        if self._patience is not None:
            self._patience.body.earn(len(data))
        return data

    def is_peer_gone(self) -> bool:
        """See Link; environ["greenserve.client_disconnected"]."""
        return self.connection.state not in _WITH_A_CLIENT or self.connection.stream.is_peer_gone()

    def set_timeout(self, seconds: float | None) -> None:
        """See Link; environ["greenserve.set_timeout"]."""
        connection = self.connection
        hub, exchange = connection.services.hub, self._exchange
        must_be_limitable(hub, exchange is not None, self._upgrade is not None)
        assert exchange is not None
        self._limit = limit = TimeLimit(seconds, exchange.response.status != 0)
        connection.deadline.arm(hub.clock() + limit.seconds)

    def offer(self, environ: dict[str, Any], to_any: bool = False) -> None:
        """See Link."""
        offer_upgrade(self.connection, environ, to_any)

    def upgrade(self, head: bytes, make: Make[Life]) -> Life:
        """See Link."""
        connection = self.connection
        must_be_upgradable(connection, self.framing is not None)
        with counted(connection.services.members):
            self.send_interim(head)
        self.head.fields = []  # they are in environ; the green thread may last for days, and holds the head
        self._upgrade = upgrade = Upgrade(connection, self._worker)
        return upgrade.begin(make)

    # Waiting for the client --------------------------------------------------------------------------------

    @property
    def patience(self) -> Patience:
        """With its client, from the first wait on."""
        patience = self._patience
        if patience is None:
            patience = self._patience = Patience(self.connection)
        return patience

    def _wait_to_receive(self, side: Side) -> None:
        self.patience.wait_to_receive(side, self._worker)

    def _wait_to_send(self, side: Side) -> None:
        self.patience.wait_to_send(side, self._worker)
