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

from greenlet import GreenletExit, getcurrent, greenlet

from greenserve.errors import AppError, PeerGone, ProtocolError
from greenserve.http1 import BodyFraming, RequestHead
from greenserve.net.http.activity import Activity, Carrier, Host
from greenserve.net.http.draining import Draining
from greenserve.net.http.patience import Patience
from greenserve.net.http.refusals import answer, https_location
from greenserve.net.http.states import State
from greenserve.net.http.upgrading import Life, Upgrade, must_have_room
from greenserve.net.sockets.stream import JOIN_BELOW, READ_SIZE, Side
from greenserve.wsgi import Exchange, RequestTimeout, make_environ
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.hub import MAX_TURN
from greenserve_hub.unpatched import time

log = logging.getLogger("greenserve.error")

# Seconds from a request to the end of its client's sending within which that is a half-close: `nc -N` and its like. A
# later one comes from a client that has waited and given up.
_HALF_CLOSE_TIME: Final = 1.0
_TOO_LATE: Final = "the request waited too long before it came here (X-Request-Start, queue_timeout)"
_AGAIN: Final = ("Retry-After", "1")

# An enum's member is looked up by Python code, and these are asked for with every request.
_QUEUED: Final = State.QUEUED
_RUNNING: Final = State.RUNNING
_CLOSED: Final = State.CLOSED
_BEFORE_QUEUED: Final = (State.HEAD, State.PARKED)
_WITH_A_CLIENT: Final = (_RUNNING, State.UPGRADED)
_SUBMITTED: Final = (*_BEFORE_QUEUED, State.BODY)
_TOLD_OF: Final = (*_SUBMITTED, _QUEUED, _RUNNING, State.SENDING)


class Request(Activity):
    """A request whose head has come."""

    __slots__ = (
        "_exchange",
        "_is_broken",
        "_patience",
        "_response",
        "_upgrade",
        "_worker",
        "connection",
        "framing",
        "head",
        "since",
    )

    def __init__(self, connection: Host, head: RequestHead) -> None:
        """`framing` is set behind it, of a request with a body."""
        self.connection = connection
        self.head = head
        self.framing: BodyFraming | None = None
        self.since = 0.0  # when it was whole, by the hub's clock; 0 before it runs or is queued
        self._exchange: Exchange | None = None
        self._worker: greenlet | None = None  # the green thread that it runs on
        self._response: tuple[bytes, bytes] | None = None  # a whole one, of an exchange that is not over
        self._is_broken = False  # a response was interrupted half sent
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
            connection.deadline.arm(now + services.timeouts.queue_timeout - self._waited_before())
        return True

    def refuse_stopping(self) -> None:
        """See Job."""
        self.connection.services.counts.shed_stopping += 1
        self.refuse_busy("the server is stopping")

    def refuse_busy(self, reason: str) -> None:
        """See Job."""
        if self.connection.state is not _CLOSED:
            self.connection.refuse(ProtocolError(503, reason), self, _AGAIN)

    def redirect(self, port: int) -> None:
        """Say where the same is to be had with TLS, in place of running. Switches: never."""
        try:
            location = https_location(self.head, port)
        except ProtocolError as error:
            self.connection.refuse(error, self)
        else:
            moved = ProtocolError(308, f"This is served at {location}")
            answer(self.connection, moved, self, ("Location", location))

    def _waited_before(self) -> float:
        """Return the seconds that it has waited at the proxy."""
        connection = self.connection
        return connection.services.request_starts.waited(self.head.fields, connection.peer, time.time())

    def _must_be_in_time(self, before: State) -> None:
        """Raise ProtocolError if it has waited at the proxy for so long that its client has given up."""
        services = self.connection.services
        # In the queue its deadline was made of this.
        if before is not _QUEUED and self._waited_before() >= services.timeouts.queue_timeout:
            services.counts.shed_request_start += 1
            raise ProtocolError(503, _TOO_LATE, _AGAIN)

    def _ends_without_its_client(self) -> bool:
        """Close and return True if its client has left while it waited: nobody will read the response, or probably."""
        if not self._has_lost_its_client():
            return False
        self.connection.services.counts.shed_client_left += 1
        self.connection.close()
        return True

    def _has_lost_its_client(self) -> bool:
        stream = self.connection.stream
        return stream.is_reset() or stream.descriptor.hung_up_at > self.since + _HALF_CLOSE_TIME

    def broke(self) -> None:
        """See Job."""
        self.connection.broke()

    def close(self) -> None:
        """See Job."""
        self.connection.close()

    # Running -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """See Job. Switches: as the app does."""
        connection = self.connection
        state = connection.state
        if state is _CLOSED or (state is _QUEUED and self._ends_without_its_client()):
            return
        services = connection.services
        began = services.hub.now
        self.since = self.since or began
        self._worker = getcurrent()
        connection.enter(_RUNNING, self)
        connection.deadline.arm(began + services.timeouts.request_timeout)
        head = self.head
        framing = self.framing
        ahead = b""
        if framing is not None:
            ahead, connection.ahead = connection.ahead, b""
        try:
            environ = make_environ(
                connection.environ, head, connection.peer, connection.peer_port, services.forwarding
            )
            if "HTTP_X_REQUEST_START" in environ or "HTTP_X_QUEUE_START" in environ:
                self._must_be_in_time(state)
            self._exchange = exchange = Exchange(services.service, self, head, environ, framing, ahead)
        except ProtocolError as error:
            self._worker = None
            connection.refuse(error, self, *error.headers)
            return
        try:
            services.context.copy().run(exchange.run)
        except BaseException as error:  # killed while it dealt with the app's own error
            if self._upgrade is not None:
                self._leave(self._upgrade, exchange, error)
            raise
        self._worker = None
        if self._upgrade is not None:
            self._leave(self._upgrade, exchange, exchange.failure)
            return
        if services.log_access is not None:
            services.log_access(exchange, began)
        response, self._response = self._response, None
        if connection.state is _CLOSED:
            self._exchange = None  # which knows this request: a circle otherwise
        elif response is None:
            self.sent()
        else:
            first, second = response
            services.batch.add(connection, first, second)

    def _leave(self, upgrade: Upgrade, exchange: Exchange, error: BaseException | None) -> None:
        self._worker = None
        self._exchange = None
        exchange.failure = None  # its traceback holds the exchange
        upgrade.app_left(error)

    def sent(self) -> None:
        """See Activity: see to what is left of this request, or has come of the next."""
        connection = self.connection
        exchange = self._exchange
        if exchange is None:
            connection.linger()  # it was refused
            return
        self._exchange = None
        response = exchange.response
        framing = self.framing
        if self._is_broken or response.is_cut_off:
            connection.reset()  # or the client might take it for the whole
        elif not response.keep_alive:
            unread = connection.ahead or (framing is not None and not framing.done)
            if response.status and (unread or connection.stream.has_unread()):
                connection.linger()  # closing over unread bytes would reset the connection and lose the response
            else:
                connection.close()
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
            if services.hub.now - self.since < services.timeouts.queue_timeout:
                services.counts.shed_request_start += 1
                self.refuse_busy(_TOO_LATE)
            else:
                services.counts.shed_queue_timeout += 1
                self.refuse_busy("the server is busy (queue_timeout)")
        elif self._worker is not None:
            # Again until it ends: an app may have caught the first.
            connection.deadline.arm(services.hub.now + 1.0)
            self._worker.throw(RequestTimeout())

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
        connection.deadline.disarm()  # request_timeout: the response has begun
        self._sending(connection.stream.send, data)

    def send_interim(self, data: bytes) -> None:
        """See Link."""
        self._sending(self.connection.stream.send, data)

    def send_pieces(self, first: bytes, second: bytes) -> None:
        """See Link."""
        if len(second) < JOIN_BELOW:
            self.send(first + second)
            return
        self.connection.deadline.disarm()
        self._sending(self.connection.stream.send_pieces, first, second)

    def send_last(self, head: bytes, body: bytes) -> None:
        """See Link."""
        if self._is_broken:
            raise PeerGone("an earlier part of the answer was interrupted: nothing can follow it")
        self._response = (head + body, b"") if len(body) < JOIN_BELOW else (head, body)

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """See Link."""
        sent: int = self._sending(self.connection.stream.send_file, fd, offset, count)
        return sent

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

    def offer(self, environ: dict[str, Any]) -> None:
        """See Link. A library could make nothing of a limit but an error of its own, so it is looked at before."""
        if environ["HTTP_UPGRADE"].lower() == "websocket":
            services = self.connection.services
            must_have_room(services)
            if environ["REQUEST_METHOD"] == "GET" and environ["SERVER_PROTOCOL"] == "HTTP/1.1":
                services.offer_upgrade(self.connection, environ)

    def upgrade(self, head: bytes, make: Callable[[Carrier, bytes], Life]) -> Life:
        """See Link."""
        connection = self.connection
        members = connection.services.members
        if connection.state is not _RUNNING:
            raise AppError("a connection is upgraded once, and while its request runs")
        if self.framing is not None:
            # What of it has not come yet would be taken for the new protocol's.
            raise ProtocolError(400, "a request with a body asks for an upgrade (RFC 9110 §7.8)")
        must_have_room(connection.services)
        members.begin_upgrade()  # already, or others would come in while this one waits for its client
        try:
            self.send_interim(head)
        except BaseException:
            members.end_upgrade()
            raise
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
