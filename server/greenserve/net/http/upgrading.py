"""How a connection leaves HTTP: its slot goes back to the pool, its deadlines end, and a second life begins.

The invariants: nothing of HTTP is sent or read after the head that says so, and the connection is among the upgraded
ones that the server counts until it is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from greenlet import GreenletExit, greenlet

from greenserve.errors import AppError, ProtocolError
from greenserve.net.http.activity import Activity, Host, Upgraded
from greenserve.net.http.services import Carrier, Members, Services
from greenserve.net.http.states import State

_AGAIN: Final = ("Retry-After", "1")

Life = TypeVar("Life", bound=Upgraded)
Make = Callable[[Carrier, bytes], Life]  # of a connection, and of what has come behind the request


def must_have_room(services: Services) -> None:
    """Raise ProtocolError where no more upgraded connections are allowed. Switches: never."""
    if services.is_stopping():
        services.counts.shed_stopping += 1
        raise ProtocolError(503, "the server is stopping", _AGAIN)
    # A client that leaves while its app is busy has an app there still; what is called for it, likewise.
    running = max(services.members.beyond_http, services.callbacks.running())
    if running >= services.limit_websockets:
        services.counts.shed_limit_websockets += 1
        raise ProtocolError(503, "too many WebSockets (limit_websockets)", _AGAIN)


def must_be_upgradable(connection: Host, has_body: bool) -> None:
    """Raise AppError or ProtocolError where a request can't take its connection out of HTTP. Switches: never."""
    if connection.state is not State.RUNNING:
        raise AppError("a connection is upgraded once, and while its request runs")
    if has_body:
        # What of it has not come yet would be taken for the new protocol's.
        raise ProtocolError(400, "a request with a body asks for an upgrade (RFC 9110 §7.8)")
    must_have_room(connection.services)


@contextmanager
def counted(members: Members) -> Iterator[None]:
    """Count a connection that leaves HTTP, while this waits for its client: or others would come in meanwhile."""
    members.begin_upgrade()
    try:
        yield
    except BaseException:
        members.end_upgrade()
        raise


def offer_upgrade(connection: Host, environ: dict[str, Any], to_any: bool = False) -> None:
    """Put a socket for libraries that speak WebSocket themselves into the environ of a handshake. Switches: never.

    Raises ProtocolError: such a library could make nothing of a limit but an error of its own, so it is looked at here.
    """
    if to_any or environ["HTTP_UPGRADE"].lower() == "websocket":
        services = connection.services
        must_have_room(services)
        if to_any or (environ["REQUEST_METHOD"] == "GET" and environ["SERVER_PROTOCOL"] == "HTTP/1.1"):
            services.offer_upgrade(connection, environ)


class Upgrade(Activity):
    """A connection after HTTP, around the life that it has there, and the call of the app that began it."""

    __slots__ = ("_began", "_connection", "_life", "_worker")

    def __init__(self, connection: Host, worker: greenlet | None) -> None:
        """The response that says so is out. `worker` is the green thread that the app is called on."""
        self._connection = connection
        self._worker = worker
        self._life: Upgraded | None = None
        self._began = connection.services.hub.clock()

    @property
    def since(self) -> float:
        """When it left HTTP, by the hub's clock."""
        return self._began

    def __str__(self) -> str:
        """See Activity."""
        return "" if self._life is None else f" {self._life.path}"

    def begin(self, make: Make[Life]) -> Life:
        """Give the connection, and what has come behind the request, to what `make` makes. Switches: never."""
        connection = self._connection
        services = connection.services
        connection.enter(State.UPGRADED, self)
        connection.deadline.disarm()
        services.slots.give_up()
        services.counts.upgraded += 1
        ahead, connection.ahead = connection.ahead, b""
        self._life = life = make(connection, ahead)
        if not services.service.parks:  # since its head was sent, which may have had to wait
            services.hub.call_soon(life.drain)
        return life

    def app_left(self, error: BaseException | None) -> None:
        """The call of the app is over, by `error`; the connection may have gone long before."""
        self._worker = None
        connection = self._connection
        services = connection.services
        services.slots.take_last()
        if connection.state is State.CLOSED:
            services.members.finish(self)
        elif self._life is None:
            connection.close()
        else:
            self._life.app_left(error)

    @property
    def lasts(self) -> bool:
        """See Activity."""
        return True

    @property
    def running(self) -> tuple[float, greenlet] | None:
        """See Activity."""
        return None if self._worker is None else (self._began, self._worker)

    def expired(self) -> None:
        """See Activity."""
        assert self._life is not None
        self._life.expired()

    def drain(self) -> None:
        """See Activity."""
        if self._life is not None:
            self._life.drain()

    def end(self) -> str | None:
        """See Activity. Called again for as long as the app's call is not over."""
        told = repr(self._connection) if self._connection.is_open else None
        if self._worker is not None:
            self._worker.throw(GreenletExit())
        self._connection.close()
        return told

    def closed(self) -> None:
        """See Activity."""
        services = self._connection.services
        members = services.members
        members.end_upgrade()
        if self._worker is not None:
            members.outlive(self)
        if self._life is not None:
            self._life.lost()
            if services.log_access is not None:
                services.log_access(self._life.record(), self._began)

    def leave_behind(self) -> None:
        """See Activity."""
        if self._life is not None:
            self._life.leave_behind()
