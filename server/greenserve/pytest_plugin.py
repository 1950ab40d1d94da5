"""A pytest fixture that serves an app for one test. It comes with the package and needs no configuration.

    def test_hello(greenserve_server):
        server = greenserve_server(app, pool=8)
        assert requests.get(server.url).status_code == 200

Knows pytest and embedding.py. The server runs in a thread of its own and is stopped at once when the test ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from greenserve.embedding import serve
from greenserve.net import Server
from greenserve.wsgi import WSGIApplication


@pytest.fixture
def greenserve_server() -> Iterator[Callable[..., Server]]:
    """Return a function that takes an app and settings, like greenserve.serve(), and returns the running Server."""
    with ExitStack() as running:

        def start(app: WSGIApplication | str, **settings: Any) -> Server:
            settings.setdefault("graceful_timeout", 0)
            return running.enter_context(serve(app, **settings))

        yield start
