"""Scene: a server in this hub, on a clock that jumps, and the socket that its app has hijacked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start

from greenserve import GreenThread, Server, sleep, spawn
from greenserve.net.hijacked.hijacked_socket import HijackedSocket
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import FakeClock, wait_all_blocked

ASK = request(
    "/ws",
    "GET",
    b"",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: x",
    "Sec-WebSocket-Version: 13",
)
HEAD = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
LARGE = bytes(range(256)) * 8_000  # more than the buffers of a pair hold together


class App:
    """Gives each socket to `use`, and answers like any app when that is over. /plain is an ordinary request."""

    def __init__(self) -> None:
        self.use: Callable[[HijackedSocket], object] = lambda sock: None
        self.environ: Environ = {}
        self.calls = 0
        self.raised: BaseException | None = None

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.calls += 1
        self.environ = environ
        if environ["PATH_INFO"] == "/ws":
            try:
                self.use(environ["werkzeug.socket"])
            except BaseException as error:
                self.raised = error
                raise
        start_response("200 OK", [("X-From", "app")])
        return [b"answered"]


class Scene:
    """A server in this hub, its app, and the socket that the app was given last, if it holds it."""

    def __init__(self, server: Server, clock: FakeClock, app: App) -> None:
        self.server = server
        self.clock = clock
        self.app = app
        self.done = Event()

    def client(self, data: bytes = ASK) -> RawClient:
        client = RawClient(self.server.address, green=True).send(data)
        wait_all_blocked()
        return client

    def held(self, data: bytes = ASK) -> tuple[HijackedSocket, RawClient]:
        """A hijacked socket, whose app waits for `done`, and its client, who has read the 101."""
        found: list[HijackedSocket] = []

        def use(sock: HijackedSocket) -> None:
            sock.sendall(HEAD)
            found.append(sock)
            self.done.wait()

        self.app.use = use
        client = self.client(data)
        assert client.take(len(HEAD)) == HEAD
        return found[0], client

    def end_app(self) -> None:
        self.done.send(None)
        wait_all_blocked()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        sleep(0)
        wait_all_blocked()

    def stop(self, graceful: float = 100, *, restarts: bool = False) -> GreenThread[None]:
        stopping = spawn(self.server.stop, graceful, restarts=restarts)
        wait_all_blocked()
        return stopping
