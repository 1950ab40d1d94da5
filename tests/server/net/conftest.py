"""Every test here also checks that no connection leaves the drawn paths from state to state.

And those that tell nothing of TLS but what HTTP does on a connection run twice: without TLS, and over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import flavours
from tests.support.certificates import client_context, issue

from greenserve.net import State
from greenserve.net.states import STARTS, TRANSITIONS
from greenserve.net.stream_link import StreamLink


class _Checked:
    """Stands in the place of Connection's slot and notes what the table does not allow."""

    def __init__(self, slot: Any) -> None:
        self.slot = slot
        self.wrong: list[str] = []

    def __get__(self, connection: Any, kind: Any = None) -> Any:
        return self if connection is None else self.slot.__get__(connection, kind)

    def __set__(self, connection: Any, state: State) -> None:
        try:
            before = self.slot.__get__(connection)
        except AttributeError:
            before = None
        allowed = STARTS if before is None else TRANSITIONS[before] | {before}
        if state not in allowed:
            self.wrong.append(f"{before} to {state}")
        self.slot.__set__(connection, state)


@pytest.fixture(autouse=True)
def states(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    checked = _Checked(StreamLink.__dict__["state"])
    monkeypatch.setattr(StreamLink, "state", checked)
    yield
    assert not checked.wrong


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
