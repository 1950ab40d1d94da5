"""The same requests below OpenTelemetry's instrumentation of Flask and below its WSGI middleware, as in their docs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import flask
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.times import MS

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=10))  # by a thread of its own
trace.set_tracer_provider(provider)
tracer = trace.get_tracer(__name__)


def work(number: str) -> Iterator[bytes]:
    """Wait in a span, and in one more while the answer is sent."""
    with tracer.start_as_current_span(f"worked {number}"):
        time.sleep(10 * MS)
    yield b"worked\n"
    with tracer.start_as_current_span(f"sent {number}"):
        time.sleep(10 * MS)
    yield b"sent\n"


def spans() -> str:
    """Whatever was exported."""
    provider.force_flush()
    return json.dumps(
        [
            {
                "name": span.name,
                "trace": span.context.trace_id,
                "id": span.context.span_id,
                "parent": span.parent and span.parent.span_id,
            }
            for span in exporter.get_finished_spans()
        ]
    )


app = flask.Flask(__name__)
FlaskInstrumentor().instrument_app(app, excluded_urls="spans")


@app.get("/work/<number>")
def work_in_flask(number: str) -> bytes:
    # Whole: the instrumentation of Flask ends its span when the view returns, and a stream's would begin a new trace.
    return b"".join(work(number))


@app.get("/spans")
def spans_in_flask() -> str:
    return spans()


def plain(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    return [spans().encode()] if path == "/spans" else work(path.rpartition("/")[2])


wsgi = OpenTelemetryMiddleware(plain)
