"""Hubs inside an asyncio loop, for tests: uvloop's and the standard one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from greenserve_hub.loop.current import set_hub, use_hub
from greenserve_hub.loop.hub import Hub

LOOPS = ["asyncio", "asyncio-plain"]


@pytest.fixture(params=LOOPS, autouse=True)
def hub(request: pytest.FixtureRequest, errors: list[BaseException]) -> Iterator[Hub]:
    """A hub in a loop of each kind in turn, on which nothing may be left."""
    before = set_hub(None)
    hub = use_hub(request.param)
    hub.on_error = lambda kind, error, trace: errors.append(error)
    try:
        yield hub
        assert not hub.parked
        assert not hub.descriptors
    finally:
        hub.close()
        set_hub(before)
