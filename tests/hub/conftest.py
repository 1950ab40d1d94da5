"""Each test of the hub has a hub of its own, must leave nobody waiting on it and no error that it did not expect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenserve_hub.greenthreads.greenthreads import kill
from greenserve_hub.loop.current import get_hub, set_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.testing import FakeClock, fake_clock


@pytest.fixture(autouse=True)
def errors() -> Iterator[list[BaseException]]:
    """What the hub was told in `on_error`. A test that expects errors takes them out of the list."""
    told: list[BaseException] = []
    before = set_hub(None)
    hub = _listening(told)
    try:
        yield told
        _check(hub, told)
    finally:
        for green in tuple(hub.parked):
            kill(green)
        hub.close()
        set_hub(before)


@pytest.fixture
def clock(errors: list[BaseException]) -> Iterator[FakeClock]:
    """The clock of a hub that never waits for time."""
    with fake_clock() as clock:
        hub = _listening(errors)
        yield clock
        _check(hub, errors)


def _listening(told: list[BaseException]) -> Hub:
    hub = get_hub()
    hub.on_error = lambda kind, error, trace: told.append(error)
    return hub


def _check(hub: Hub, told: list[BaseException]) -> None:
    assert not told, f"errors that the test did not expect: {told!r}"
    assert not hub.parked, f"still waiting: {hub.parked!r}"
