"""Every test here also checks that no connection leaves the drawn paths from state to state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

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
