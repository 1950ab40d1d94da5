"""A server whose app gets hijacked sockets, in the hub of the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.net.hijacked.scenes import App, Scene
from tests.support.servers.running import in_one_hub

from greenserve.net.hijacked import hijacked_socket


@pytest.fixture
def settings() -> dict[str, Any]:
    return {}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> Iterator[Scene]:
    monkeypatch.setattr(hijacked_socket, "is_monkey_patched", lambda module: True)
    app = App()
    with in_one_hub(app, tmp_path, **settings) as (server, clock):
        scene = Scene(server, clock, app)
        yield scene
        if not scene.done.ready():
            scene.end_app()
