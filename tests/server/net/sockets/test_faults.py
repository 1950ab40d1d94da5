"""Every call that the server makes on a client's socket, in every kind of request, fails with every errno.

What must be the same each time: the connection is closed and nothing of it is left, what the client got is the
beginning of what it gets without a fault, the app sees an OSError or nothing, somebody else is served, and the log
holds what somebody here has to mend and nothing of what the peer did.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients import raw
from tests.support.clients.lives import LIVES, App, Client, Life, ProxiedClient, TLSClient, open_connection
from tests.support.examples import THOROUGHNESS
from tests.support.hubs.faulty import (
    MOVING,
    Decide,
    Fault,
    FaultySocket,
    FaultyStream,
    Plan,
    always,
    at,
    from_on,
)
from tests.support.servers.certificates import client_context
from tests.support.servers.running import in_one_hub

from greenserve import Server
from greenserve.net.http.states import State
from greenserve.net.sockets.faults import NOT_OURS, OF_THE_PEER
from greenserve_hub.testing import wait_all_blocked

_ERRORS = (
    "ECONNRESET",
    "EPIPE",
    "ETIMEDOUT",
    "ENOTCONN",
    "ECONNABORTED",
    "EHOSTUNREACH",
    "ENETDOWN",
    "ENETUNREACH",
    "EBADF",
    "EINVAL",
    "EIO",
    "ENOBUFS",
    "ENOMEM",
    "EPROTO",
    "ESHUTDOWN",
    "EOPNOTSUPP",
    "EACCES",
    "EPERM",
)
_SOME = ("ECONNRESET", "ETIMEDOUT", "EBADF", "ENOBUFS")
_TWO = ("ECONNRESET", "ENOBUFS")  # one of the peer's, and one of ours
# Nobody needs to hear that these have failed.
_QUIET = ("peek", "shutdown", "setsockopt", "close")


def _unix_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server = listener.accept()[0]
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    return client, server


@dataclass(frozen=True)
class Kind:
    """A kind of stream: how to get two connected sockets, and what the server wraps around its own."""

    name: str
    pair: Callable[[], tuple[socket.socket, socket.socket]]
    client: type[Client] = Client
    errors: tuple[str, ...] = _ERRORS


# One more line here and every test of this file runs over it too. All kinds stand on the same handling of errors, which
# the first one is asked about in full.
KINDS = [
    Kind("unix", _unix_pair),
    Kind("tcp", _tcp_pair, Client, _SOME),
    Kind("proxied", _unix_pair, ProxiedClient, _SOME),
    Kind("tls", _unix_pair, TLSClient, _SOME),
]


class _Bench:
    """One server, on which lives are run again and again, each time with another fault."""

    def __init__(self, kind: Kind, folder: Path, certificate: Path) -> None:
        self.kind = kind
        self._settings: dict[str, Any] = {
            Client: {},
            ProxiedClient: {"proxy_protocol": "v1", "proxy_allow_from": ["192.0.2.1"]},
            TLSClient: {"certfile": [str(certificate)]},
        }[kind.client]
        self._folders = (folder / str(number) for number in count())
        self._stack = ExitStack()
        self._server: Server | None = None
        self._session: ssl.SSLSession | None = (
            None  # of who is served after a life: it need not be new each time
        )

    def run(self, life: Life, plan: Plan) -> bytes:
        """What the client got. Checks that nothing is left and others are served."""
        if self._server is None:
            self._start()
        server = self._server
        assert server is not None
        got = self._live(server, life, plan)
        if not server.is_stopping:
            mine, other = socket.socketpair()
            with mine:
                other.setblocking(False)
                open_connection(server, other)
                client = self.kind.client(mine, server, self.clock, self.app)
                if isinstance(client, TLSClient):
                    client.session = self._session
                client.begin()
                client.send(raw.request("/still"))
                client.take()
                assert client.taken.endswith(b"/still")
                if isinstance(client, TLSClient):
                    self._session = client.tls.session
            wait_all_blocked()
        else:
            self.close()
        return _masked(got)

    def _start(self) -> None:
        self._session = None
        folder = next(self._folders)
        folder.mkdir()
        self.app = App(folder)
        self._server, self.clock = self._stack.enter_context(
            in_one_hub(self.app, folder, pool=1, limit_request_discard="1K", **self._settings)
        )
        wait_all_blocked()

    def _live(self, server: Server, life: Life, plan: Plan) -> bytes:
        hub = server.hub
        self.app.seen.clear()
        before = set(hub.descriptors)
        mine, other = self.kind.pair()
        with mine:
            faulty = FaultySocket.around(other, plan)
            number = faulty.fileno()
            plan.calls.clear()
            connection = open_connection(server, faulty, FaultyStream(hub, faulty))
            client = self.kind.client(mine, server, self.clock, self.app)
            client.descriptor = hub.descriptors[number]
            wait_all_blocked()
            client.begin()
            plan.begun = len(plan.calls)
            life(client)
            client.take()
        for _ in range(10):
            if connection.state is State.CLOSED:
                break
            client.pass_time(40)  # longer than any deadline here
        assert connection.state is State.CLOSED
        stats = server.stats
        assert stats.connections == stats.active == stats.queued == 0
        assert server.queue.pool.free() == 1
        assert number not in hub.descriptors
        assert set(hub.descriptors) <= before
        assert faulty.fileno() == -1
        assert connection.deadline.callback is None
        assert len(hub.parked) <= 1  # the acceptor
        assert all(isinstance(error, OSError | GeneratorExit) for error in self.app.seen)
        return bytes(client.taken)

    def close(self) -> None:
        """End the server; the next life gets a new one."""
        self._server = None
        self._stack.close()


def _masked(answer: bytes) -> bytes:
    # The clock of the hub jumps, the date is the wall's.
    # No look-behind: a pattern that begins with letters is looked for in C, and answers have a megabyte.
    return re.sub(rb"Date: [^\r]*", lambda found: b"x" * len(found[0]), answer)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[_Bench]:
    monkeypatch.setattr(TLSClient, "context", client_context(), raising=False)
    bench = _Bench(request.param, tmp_path, certificate)
    yield bench
    bench.close()


@pytest.fixture(params=LIVES, ids=lambda life: life.__name__)
def life(request: pytest.FixtureRequest) -> Life:
    found: Life = request.param
    return found


@pytest.mark.parametrize("lasting", [at, from_on], ids=["once", "for ever"])
def test_each_call_fails_in_each_way(
    lasting: Callable[[int, Fault], Decide], life: Life, bench: _Bench, caplog: pytest.LogCaptureFixture
) -> None:
    baseline = Plan()
    answer = bench.run(life, baseline)
    # What each errno means does not hang on the hub or the interpreter, so that others are asked about two.
    errors = _TWO if os.environ.get("GREENSERVE_HUB") or THOROUGHNESS < 1 else bench.kind.errors
    # What fails before a life begins fails in each of them in the same way.
    first = 0 if life is LIVES[0] else baseline.begun
    for place, name in product(range(first, len(baseline.calls)), errors):
        number = getattr(errno, name)
        plan = Plan(lasting(place, Fault(number)))
        with caplog.at_level(logging.INFO):
            caplog.clear()
            got = bench.run(life, plan)
        what = f"{name} at call {place} of {plan.calls}"
        assert answer.startswith(got), what
        assert _is_well_told(caplog.messages, plan.struck, number), f"{what}: {caplog.messages}"


def _is_well_told(messages: list[str], struck: list[str], number: int) -> bool:
    """Whether the log holds one line about the connection where that is due, and nothing else."""
    messages = [message for message in messages if not message.startswith("NO HTTP")]
    if any("connection lost" not in message for message in messages):
        return False
    if number in OF_THE_PEER or not struck:
        return not messages
    if number in NOT_OURS or struck[0] in ("sendfile", *_QUIET):
        return len(messages) <= 1  # told by the next call that meets it, if there is one
    return len(messages) == 1


def test_each_call_has_to_be_made_again(life: Life, bench: _Bench) -> None:
    baseline = Plan()
    answer = bench.run(life, baseline)
    for place, call in enumerate(baseline.calls):
        if call in (*MOVING, "peek"):
            plan = Plan(at(place, Fault(errno.EAGAIN)))
            assert bench.run(life, plan) == answer, f"EAGAIN at call {place} of {plan.calls}"


def test_each_call_takes_only_part(life: Life, bench: _Bench) -> None:
    baseline = Plan()
    answer = bench.run(life, baseline)
    for place, call in enumerate(baseline.calls):
        if call in MOVING:
            for size in (1, 0) if call.startswith("send") and call != "sendfile" else (1,):
                plan = Plan(at(place, Fault(size=size)))
                assert bench.run(life, plan) == answer, f"{size} bytes at call {place} of {plan.calls}"


def test_all_calls_take_only_part(life: Life, bench: _Bench) -> None:
    answer = bench.run(life, Plan())
    size = 1 if len(answer) < 10_000 else 9_973
    assert bench.run(life, Plan(always(Fault(size=size)))) == answer
