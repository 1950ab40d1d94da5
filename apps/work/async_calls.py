"""A library for asyncio in a blocking handler: one page asks several services at once, by httpx.

`BACKENDS=http://127.0.0.1:9001/,http://127.0.0.1:9002/ greenserve apps.work.async_calls:app --hub asyncio`.
On this hub coroutines and green threads run in one loop, so a handler waits for a coroutine as for any call.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import httpx
from flask import Flask

from greenserve import wait_for_awaitable

BACKENDS = [url for url in os.environ.get("BACKENDS", "").split(",") if url]
SECONDS = 2.0  # for one backend, whatever it does
MOST_BYTES = 1_000_000

app = Flask(__name__)
# One for all requests: it keeps its connections open. It asks no proxy of the environment, and follows no redirect.
client = httpx.AsyncClient(
    limits=httpx.Limits(max_connections=100, max_keepalive_connections=20), trust_env=False
)


async def fetch(url: str) -> dict[str, Any]:
    """Ask one backend. An error is a part of the answer: the others are shown without it."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS), client.stream("GET", url) as response:
            size = 0
            async for piece in response.aiter_bytes():
                size += len(piece)
                if size > MOST_BYTES:
                    raise httpx.HTTPError(f"more than {MOST_BYTES} bytes")
        found: dict[str, Any] = {"status": response.status_code, "bytes": size}
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        found = {"error": f"{type(error).__name__}: {error}".removesuffix(": ")}
    return found | {"ms": round((time.monotonic() - began) * 1000)}


async def fetch_all() -> list[dict[str, Any]]:
    """Ask all at once: it takes as long as the slowest."""
    return await asyncio.gather(*(fetch(url) for url in BACKENDS))


@app.get("/")
def overview() -> dict[str, Any]:
    """What each backend says. Other requests go on meanwhile; the end of this one cancels the coroutines."""
    return dict(zip(BACKENDS, wait_for_awaitable(fetch_all()), strict=True))
