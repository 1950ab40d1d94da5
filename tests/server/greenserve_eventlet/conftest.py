"""Each test has a hub of its own, whose errors are kept quiet unless the test looks at them.

Programs of eventlet leave sockets to the collector, and so do tests here. What they leave warns in no other test.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserve_hub.loop.current import get_hub, set_hub


@pytest.fixture(autouse=True)
def errors() -> Iterator[list[BaseException]]:
    """What no green thread waited for. A test that expects such errors takes them out."""
    told: list[BaseException] = []
    before = set_hub(None)
    hub = get_hub()
    hub.on_error = lambda kind, error, trace: told.append(error)
    try:
        yield told
        assert not told
    finally:
        hub.close()
        set_hub(before)


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.path.is_relative_to(Path(__file__).parent):
        item.add_marker(pytest.mark.filterwarnings("ignore:unclosed .*:ResourceWarning"))


@pytest.fixture(autouse=True, scope="module")
def _collected() -> Iterator[None]:
    yield
    gc.collect()
