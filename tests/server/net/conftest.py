"""Every test here also checks that no connection, and no WebSocket, leaves the drawn paths from state to state.

And those that tell nothing of TLS but what HTTP does on a connection run twice: without TLS, and over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import flavours
from tests.support.servers.certificates import client_context, issue

from greenserve.net.http.connection import Connection
from greenserve.net.http.states import STARTS, TRANSITIONS
from greenserve.net.websockets.frame_writer import FrameWriter
from greenserve.websocket.framing.closing import PHASES, Phase


class _Checked:
    """Stands in the place of an object's slot and notes what the table does not allow."""

    def __init__(
        self,
        slot: Any,
        starts: frozenset[Any],
        table: Mapping[Any, frozenset[Any]],
        state: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        self.slot = slot
        self.starts = starts
        self.table = table
        self.state = state  # of the slot's value
        self.wrong: list[str] = []

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else self.slot.__get__(owner, kind)

    def __set__(self, owner: Any, value: object) -> None:
        state = self.state(value)
        try:
            before = self.state(self.slot.__get__(owner))
        except AttributeError:
            before = None
        allowed = self.starts if before is None else self.table[before] | {before}
        if state not in allowed:
            self.wrong.append(f"{before} to {state}")
        self.slot.__set__(owner, value)


@pytest.fixture(autouse=True)
def states(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    connections = _Checked(Connection.__dict__["state"], STARTS, TRANSITIONS)
    closing = FrameWriter.__dict__["closing"]
    websockets = _Checked(closing, frozenset({Phase.OPEN}), PHASES, lambda value: value.phase)
    monkeypatch.setattr(Connection, "state", connections)
    monkeypatch.setattr(FrameWriter, "closing", websockets)
    yield
    assert not connections.wrong
    assert not websockets.wrong


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    both = metafunc.definition.get_closest_marker("over_tls_too")
    if both is not None and metafunc.definition.get_closest_marker("plain_only") is None:
        metafunc.parametrize("flavour", ["plain", "tls"], indirect=True)


@pytest.fixture(autouse=True)
def flavour(request: pytest.FixtureRequest, certificate: Path) -> Iterator[None]:
    """Whether servers and raw clients of this test speak TLS."""
    if getattr(request, "param", "plain") == "plain":
        yield
        return
    with flavours.over_tls(certificate, client_context()):
        yield


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's, for this machine."""
    return issue(tmp_path_factory.mktemp("tls") / "server.pem", "localhost", "127.0.0.1")
