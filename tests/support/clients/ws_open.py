"""WebSockets in a test's hands on both sides: the server's object and a raw client, in one hub, on a fake clock."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.clients.ws_client import WSClient
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import in_one_hub

from greenserve import Server, WebSocket, accept_websocket
from greenserve.websocket import encode_shared
from greenserve_hub.testing import FakeClock, wait_all_blocked

LARGE = 4 << 20  # of which the kernel takes a part


class Sockets:
    """What one server has open."""

    def __init__(self, server: Server, clock: FakeClock, stack: ExitStack) -> None:
        self.server = server
        self.clock = clock
        self.options: dict[str, Any] = {}  # of accept_websocket
        self.made: list[WebSocket] = []
        self.heard: list[str | bytes] = []  # what clients said
        self._stack = stack

    def open(self, *fields: str, **options: Any) -> tuple[WebSocket, WSClient]:
        """One more, with its client, who reads what it is told to; `fields`: more of its request."""
        self.options = options
        client = self._stack.enter_context(WSClient(self.server.address, "/", *fields, green=True))
        wait_all_blocked()
        return self.made[-1], client

    def stalled(self, **options: Any) -> tuple[WebSocket, WSClient]:
        """One more, whose client reads nothing: of LARGE zero bytes that are on their way the kernel holds a part."""
        ws, client = self.open(**options)
        assert ws.send_shared(encode_shared(bytes(LARGE), None))
        assert ws._writer.outbox is not None
        return ws, client


@contextmanager
def sockets(folder: Path, **settings: Any) -> Iterator[Sockets]:
    """A server whose app leaves each WebSocket to the test."""

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        ws = accept_websocket(environ, **found.options)
        ws.on_message = found.heard.append
        found.made.append(ws)
        return []

    with in_one_hub(app, folder, **settings) as (server, clock), ExitStack() as stack:
        found = Sockets(server, clock, stack)
        yield found


def shrink(ws: WebSocket, size: int = 4608) -> None:
    """Have the kernel take little at once."""
    ws._writer.carrier.stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
