"""A WebSocket and its client, without deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clients.ws_open import Sockets, sockets


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Sockets]:
    with sockets(tmp_path, send_timeout="off", send_min_rate="off", ws_ping_interval="off") as found:
        yield found
