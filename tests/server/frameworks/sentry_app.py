"""Sentry as its users set it up: its integration of Flask, and its transport, which posts from a thread of its own."""

from __future__ import annotations

import time

import flask
import sentry_sdk
from tests.support.times import MS

sentry_sdk.init(traces_sample_rate=1.0)  # SENTRY_DSN says where to
app = flask.Flask(__name__)


@app.get("/fail/<number>")
def fail(number: str) -> str:
    sentry_sdk.set_tag("number", number)
    sentry_sdk.add_breadcrumb(message=f"began {number}")
    with sentry_sdk.start_span(op="nap", name=f"nap {number}"):
        time.sleep(10 * MS)
    raise LookupError(number)


@app.get("/flush")
def flush() -> str:
    sentry_sdk.flush()
    return "flushed"
