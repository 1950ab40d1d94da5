"""Whether a test's servers and raw clients speak plain HTTP or TLS, so that one test can be run with both."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

settings: dict[str, Any] = {}  # what servers get besides their own
client: ssl.SSLContext | None = None


@contextmanager
def over_tls(certfile: Path, context: ssl.SSLContext) -> Iterator[None]:
    """While inside, serving() and RawClient speak TLS."""
    global client
    settings["certfile"] = str(certfile)
    client = context
    try:
        yield
    finally:
        settings.clear()
        client = None
