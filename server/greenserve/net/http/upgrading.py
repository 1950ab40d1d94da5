"""How a connection leaves HTTP: its slot goes back to the pool, its deadlines end, and a second life begins.

Between Leftovers and Connection. The invariants: nothing of HTTP is sent or read after the head that says so, and the
connection is among the upgraded ones that the server counts until it is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from greenserve.errors import AppError, ProtocolError
from greenserve.net.http.activity import Carrier, Upgraded
from greenserve.net.http.draining import Leftovers
from greenserve.net.http.states import State
from greenserve.net.sockets.stream import Stream
from greenserve_hub.deadlines import Deadline

if TYPE_CHECKING:
    from greenserve.net.http.connection import Connection

_UPGRADED: Final = State.UPGRADED  # an enum's member is looked up by Python code
_AGAIN: Final = ("Retry-After", "1")

_Life = TypeVar("_Life", bound=Upgraded)


class Upgrading(Leftovers):
    """A connection that can leave HTTP."""

    __slots__ = ("_upgraded_at",)

    _upgraded_at: float  # by the hub's clock; 0.0: it speaks HTTP

    @property
    def stream(self) -> Stream:
        """See Carrier."""
        return self._stream

    @property
    def deadline(self) -> Deadline:
        """See Carrier."""
        return self._deadline

    @property
    def is_open(self) -> bool:
        """See Carrier."""
        return self.state is _UPGRADED

    def offer(self, environ: dict[str, Any]) -> None:
        """See Link. A library could make nothing of a limit but an error of its own, so it is looked at before."""
        if environ["HTTP_UPGRADE"].lower() == "websocket":
            self._must_have_room()
            if environ["REQUEST_METHOD"] == "GET" and environ["SERVER_PROTOCOL"] == "HTTP/1.1":
                self.services.offer_upgrade(self, environ)

    def _must_have_room(self) -> None:
        services = self.services
        if services.is_stopping():
            raise ProtocolError(503, "the server is stopping", _AGAIN)
        # A client that leaves while its app is busy has an app there still; what is called for it, likewise.
        running = max(services.members.beyond_http, services.callbacks.running())
        if running >= services.limit_websockets:
            raise ProtocolError(503, "too many WebSockets (limit_websockets)", _AGAIN)

    def upgrade(self, head: bytes, make: Callable[[Carrier, bytes], _Life]) -> _Life:
        """See Link."""
        services = self.services
        members = services.members
        if self.state is not State.RUNNING:
            raise AppError("a connection is upgraded once, and while its request runs")
        if self._framing is not None:
            # What of it has not come yet would be taken for the new protocol's.
            raise ProtocolError(400, "a request with a body asks for an upgrade (RFC 9110 §7.8)")
        self._must_have_room()
        members.begin_upgrade()  # already, or others would come in while this one waits for its client
        try:
            self.send_interim(head)
        except BaseException:
            members.undo_upgrade()
            raise
        self.state = State.UPGRADED
        self._deadline.disarm()
        self._upgraded_at = services.hub.clock()
        assert self._head is not None
        self._head.fields = []  # they are in environ; the green thread may last for days, and holds the head
        self._head = None
        services.slots.give_up()
        rest, self._rest = self._rest, b""
        life = make(self, rest)
        self._upgraded = life
        if not services.service.parks:  # since its head was sent, which may have had to wait
            services.hub.call_soon(life.drain)
        return life

    @property
    def is_upgraded(self) -> bool:
        """Whether it has left HTTP, also when it is closed by now."""
        return self._upgraded_at != 0.0

    @property
    def is_with_app(self) -> bool:
        """Whether the app's call still runs."""
        return self._worker is not None

    def log_upgraded(self) -> None:
        """Write the access log's line. For the server, when it is closed. Switches: never."""
        services = self.services
        if services.log_access is not None and self._upgraded is not None:
            services.log_access(self._upgraded.record(), self._upgraded_at)

    def _app_left(self, error: BaseException | None) -> None:
        """The app that has upgraded it is through; the connection may have gone long before."""
        services = self.services
        services.slots.take_last()
        upgraded = self._upgraded
        if self.state is State.CLOSED:
            services.members.finish(cast("Connection", self))
        elif upgraded is None:
            self.close()
        else:
            upgraded.app_left(error)
