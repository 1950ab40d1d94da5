"""One client's connection, from accept to close: it parks, reads heads, and hands on to one activity at a time.

Heads are read and idle time is spent in hub callbacks, under one Deadline: a slow or idle client costs this object and
no slot of the pool. All else is an Activity's, which gives the connection back with next(), or ends it. `state` is
written here alone; states.py has the drawn table.

Invariants: each callback (the descriptor's reader, or a call_soon, which can't be taken back) looks whether the state
that it was made for still holds, so that of several that are due the first counts; a closed connection stays closed,
and is forgotten by the server, once; a client that is refused gets the error whole before the end, behind the responses
that it has not read yet.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from greenlet import greenlet

from greenserve.errors import PeerGone, ProtocolError
from greenserve.http1 import HeadReader, RequestHead, read_whole_head
from greenserve.net.http.activity import Activity, Refused
from greenserve.net.http.body_prefetch import prefetches
from greenserve.net.http.draining import Discarding
from greenserve.net.http.refusals import answer
from greenserve.net.http.request import Request
from greenserve.net.http.sending import Sending
from greenserve.net.http.services import Services
from greenserve.net.http.states import State
from greenserve.net.opening.endpoint import Endpoint
from greenserve.net.opening.opening import FIRST_REQUEST_TIME, Opening
from greenserve.net.sockets.stream import HEAD_SIZE, Stream

log = logging.getLogger("greenserve.error")

# Seconds for the client to take an error and close (RFC 9112 §9.6); nginx has 5.
_LINGER_TIME: Final = 2.0
# Of its upload that are thrown away meanwhile: as much as a body may have by default, since many clients look for a
# response when all is sent, and not before.
_LINGER_BYTES: Final = 16 << 20

# An enum's member is looked up by Python code, and these are asked for with every request.
_HEAD: Final = State.HEAD
_PARKED: Final = State.PARKED
_RUNNING: Final = State.RUNNING
_UPGRADED: Final = State.UPGRADED
_CLOSED: Final = State.CLOSED


class Connection:
    """A client. The Host of its activities, and the Carrier of what it was upgraded to."""

    __slots__ = (
        "activity",
        "ahead",
        "deadline",
        "endpoint",
        "environ",
        "peer",
        "peer_port",
        "reader",
        "services",
        "state",
        "stream",
    )

    def __init__(
        self, services: Services, endpoint: Endpoint, stream: Stream, peer: str, peer_port: str
    ) -> None:
        """Begins to read at once."""
        self.services = services
        self.endpoint = endpoint
        self.stream = stream
        self.peer = peer
        self.peer_port = peer_port
        self.environ: dict[str, Any] = endpoint.environ  # what all its requests share
        self.ahead = b""  # what has come and is not read yet
        self.reader: HeadReader | None = None  # of a head that comes in pieces
        self.activity: Activity | None = None  # None between requests
        self.deadline = services.hub.make_deadline(self._expired)
        entrance = services.entrance
        if entrance.proxy_headers is None and endpoint.tls is None:
            self.state = _HEAD
            self._arm(services.timeouts.head_timeout)
            stream.descriptor.on_readable(self._on_readable)
        else:
            if entrance.proxy_headers is None:
                self.shake_hands()
            else:
                self.state = State.PREFACE
                self._arm(services.timeouts.head_timeout)
            self.activity = Opening(self, entrance, endpoint)

    def __repr__(self) -> str:
        """For dumps and logs."""
        busy = "" if self.activity is None else self.activity
        return f"<{self.peer or 'unix'}:{self.peer_port} {self.state.value}{busy}>"

    def _arm(self, seconds: float) -> None:
        self.deadline.arm(self.services.hub.now + seconds)

    # The beginning: see Opener -----------------------------------------------------------------------------

    def shake_hands(self) -> None:
        """See Opener."""
        self.state = State.HANDSHAKE
        parks = self.services.service.parks
        self._arm(self.services.timeouts.tls_handshake_timeout if parks else FIRST_REQUEST_TIME)

    def opened(self, ahead: bytes) -> None:
        """See Opener."""
        services = self.services
        self.activity = None
        self.state = _HEAD
        self._arm(services.timeouts.head_timeout if services.service.parks else FIRST_REQUEST_TIME)
        if ahead:
            self.ahead = ahead  # until _take_ahead(): nothing may be read before it
            services.hub.call_soon(self._take_ahead)
        else:
            self.stream.when_readable(self._on_readable)

    # Heads: HEAD and PARKED --------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        if self.activity is not None or (self.state is not _PARKED and self.state is not _HEAD):
            return  # _take_late() was first: what is there now belongs to a body or to the next request
        try:
            ordinary = self.services.ordinary
            if ordinary is None or self.reader is not None or self.endpoint.tls is not None:
                data: Any = self.stream.receive_now(HEAD_SIZE)
            else:
                data = self.stream.receive_head(ordinary, self.environ, self.peer, self.peer_port)
            if type(data) is not bytes:
                self._begin(data, data.rest)
            elif data:
                self._take(data)
            else:
                self.close()
        except BlockingIOError:
            self.stream.descriptor.when_readable(self._on_readable)
        except PeerGone:
            self.close()
        except Exception:
            self.broke()

    def _take_ahead(self) -> None:
        data, self.ahead = self.ahead, b""
        try:
            self._take(data)
        except Exception:
            self.broke()

    def _take(self, data: bytes) -> None:
        """Read the next head, or some more of it."""
        if self.state is _CLOSED:
            return
        assert self.activity is None, "the next head is read when this request is over"
        try:
            whole = (self.reader is None and self._read_whole(data)) or self._read_slowly(data)
        except ProtocolError as error:
            self.refuse(error, None)
        else:
            if whole:
                self._begin(*whole)

    def _read_whole(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        services = self.services
        if (ordinary := services.ordinary) is None:
            return read_whole_head(data, services.head_limits)
        if (head := ordinary.take(data, self.environ, self.peer, self.peer_port)) is not None:
            return head, head.rest
        if whole := read_whole_head(data, services.head_limits):
            ordinary.learn(whole[0])
        return whole

    def _begin(self, head: RequestHead, rest: bytes) -> None:
        self.ahead = rest
        request = Request(self, head)
        try:
            if (head.chunked or head.content_length) and prefetches(self, request):
                return
        except ProtocolError as error:
            self.refuse(error, request)
        else:
            self.activity = request
            self.endpoint.submit(request)

    def _read_slowly(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        reader = self.reader
        if reader is None:
            reader = self.reader = HeadReader(self.services.head_limits)
            if self.state is _PARKED:
                self.state = _HEAD
                self._arm(self.services.timeouts.head_timeout)
        rest = reader.feed(data)
        if rest is None:
            self.stream.when_readable(self._on_readable)
            return None
        self.reader = None
        assert reader.head is not None
        return reader.head, rest

    # For activities: see Host ------------------------------------------------------------------------------

    def enter(self, state: State, activity: Activity | None) -> None:
        """See Host."""
        self.state = state
        self.activity = activity

    def run_until(self, when: float) -> None:
        """See Host."""
        self.state = _RUNNING
        self.deadline.arm(when)

    def flush(self, first: bytes | memoryview, second: bytes | memoryview) -> None:
        """See Host."""
        activity = self.activity
        if activity is None and self.state is _CLOSED:
            return
        try:
            sent = self.stream.send_now(first, second)
        except PeerGone as error:
            log.debug("%r: client gone: %s", self, error)
            self.close()
            return
        if sent != len(first) + len(second):
            self.state = State.SENDING
            self.activity = Sending(self, activity, first, second, sent)
        elif activity is None:
            self.linger()  # a head was refused
        else:
            activity.sent()

    def refuse(self, error: ProtocolError, request: Refused | None, *extra: tuple[str, str]) -> None:
        """See Host."""
        self.services.counts.refused += 1
        self.reader = None
        answer(self, error, request, *extra)

    def next(self, rest: bytes) -> None:
        """See Host."""
        services = self.services
        self.activity = None
        if rest:
            # Behind the queued requests: a client that pipelines gets no second turn before the others had theirs.
            self.ahead = rest  # until _take_ahead(): nothing may be read before it
            self.state = _HEAD
            self._arm(services.timeouts.head_timeout)
            services.hub.call_soon(self._take_ahead)
        elif not services.service.parks:
            self.close()
        else:
            self.state = _PARKED
            self.deadline.arm(services.hub.now + services.timeouts.keep_alive)
            if self.endpoint.tls is None:
                self.stream.descriptor.when_readable(self._on_readable)  # as a Stream does, without the call
            else:
                self.stream.when_readable(self._on_readable)

    @property
    def is_open(self) -> bool:
        """See Carrier."""
        return self.state is _UPGRADED

    def linger(self) -> None:
        """See Carrier (RFC 9112 §9.6)."""
        self.state = State.LINGERING
        self.stream.shut_sending()
        self._arm(_LINGER_TIME)
        Discarding(self.stream, _LINGER_BYTES, lambda _: self.close()).begin()

    # Idle, and the end -------------------------------------------------------------------------------------

    def _expired(self) -> None:
        try:
            if self.state is State.LINGERING:
                self.close()
            elif self.activity is not None:
                self.activity.expired()
            elif self.ahead:
                self._arm(self.services.timeouts.head_timeout)  # this server is the slow side
            elif not self._take_late():
                self._end_idle()
        except Exception:
            self.broke()

    def _end_idle(self) -> None:
        if self.reader and self.reader.begun:
            self.refuse(ProtocolError(408, "the head of the request came too slowly (head_timeout)"), None)
        else:
            self.close()

    def _take_late(self) -> bool:
        """Take what has come in time but lies in the socket still, since an app held the hub.

        Return True if that helped.
        """
        was_slow = self.reader is not None or self.state is _HEAD  # then the deadline is the head's own
        self.stream.descriptor.stop_waiting_to_read()
        try:
            data = self.stream.receive_now(HEAD_SIZE)
        except (BlockingIOError, PeerGone):
            return False
        if data:
            self._take(data)
        return bool(data) and (not was_slow or self.reader is None)

    @property
    def idle_until(self) -> float | None:
        """When keep_alive ends, if it is idle between requests: the sooner, the longer it has been."""
        # A request may be queued already: it stays PARKED until the queue moves.
        return self.deadline.when if self.state is _PARKED and self.activity is None else None

    def make_way(self, until: float) -> bool:
        """Close for a newcomer, if still idle as when `idle_until` was `until`. Return True if it did.

        Switches: never.
        """
        if self.idle_until != until:
            return False
        try:
            if self._take_late():
                return False
            self.close()
        except Exception:
            self.broke()
        return True

    @property
    def may_ask(self) -> bool:
        """Return True if its client may send a request: it was not told that the connection ends."""
        if self.activity is not None:
            return self.activity.may_ask
        return self.state is _HEAD or self.state is _PARKED

    @property
    def lasts(self) -> bool:
        """Return True if its activity goes on until one side ends it, and its client then comes back at once."""
        return self.activity is not None and self.activity.lasts

    @property
    def running(self) -> tuple[float, greenlet] | None:
        """Since when the app runs for it, by the hub's clock, and on which green thread; None if it does not."""
        return None if self.activity is None else self.activity.running

    def drain(self) -> None:
        """The server stops: close unless a request is under way, or about to come. Switches: never."""
        try:
            if self.activity is not None:
                self.activity.drain()
            elif self.reader is not None:
                pass
            elif self.state is _HEAD:
                # It was opened for a request that may be on its way; one that was served has had its turn.
                self.deadline.arm(min(self.deadline.when, self.services.hub.now + FIRST_REQUEST_TIME))
            elif self.state is _PARKED and not self._take_late():
                self.close()
        except Exception:
            self.broke()

    def end(self) -> str | None:
        """The time to stop gracefully is over: end what runs. Return what that was, for the log. From the hub."""
        if self.activity is not None:
            return self.activity.end()
        self.close()
        return None

    def broke(self) -> None:
        """See Carrier: it costs this connection only."""
        log.exception("%r: an error in the server; this connection is closed, please report it", self)
        self.close()

    def reset(self) -> None:
        """See Carrier: the client must not take for the whole what it has."""
        self.stream.reset_on_close()
        self.close()

    def leave_behind(self) -> None:
        """For the child of a fork. `closed` would wake and call others. Switches: never."""
        self.state = _CLOSED
        self.stream.leave_behind()
        if self.activity is not None:
            self.activity.leave_behind()

    def close(self) -> None:
        """See Carrier."""
        if self.state is _CLOSED:
            return
        if self.state is State.QUEUED and isinstance(self.activity, Request):
            self.services.queue.unqueue(self.activity)
        self.state = _CLOSED
        self.deadline.cancel()
        try:
            self.stream.close()
        finally:
            self.reader = None
            activity, self.activity = self.activity, None  # which knows the connection: a circle otherwise
            if activity is not None:
                activity.closed()
            self.services.members.remove(self)
