"""Each test has a hub of its own, whose errors are kept quiet unless the test looks at them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from greenserve_hub.loop.current import get_hub, set_hub
from greenserve_hub.testing import wait_all_blocked


@pytest.fixture(autouse=True)
def errors() -> Iterator[list[BaseException]]:
    """What no green thread waited for. A test that expects such errors takes them out."""
    told: list[BaseException] = []
    before = set_hub(None)
    hub = get_hub()
    hub.on_error = lambda kind, error, trace: told.append(error)
    try:
        yield told
        wait_all_blocked()  # who was told to end closes its socket in a turn of its own
        assert not told
    finally:
        hub.close()
        set_hub(before)
        del hub
        gc.collect()  # a socket that was left open fails the test that left it
