#!/usr/bin/env bash
# opentelemetry-instrumentation-flask 0.66b1, Flask 3.1.3, below wsgiref: a span that a view makes while its answer is
# streamed belongs to no request, though the view uses stream_with_context():
#
#   in the view: in the request's trace
#   while streaming: a trace of its own
#
# The instrumentation ends the request's span, and takes its context away, when the view has returned. With
# OpenTelemetryMiddleware around the app (opentelemetry-instrumentation-wsgi) both are in the request's trace.
source "$(dirname "$0")/lib.sh"
venv opentelemetry-sdk==1.45.1 opentelemetry-instrumentation-flask==0.66b1 flask==3.1.3

cat >"$work/program.py" <<'PY'
import threading
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

import flask
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("finding")
app = flask.Flask("finding")
FlaskInstrumentor().instrument_app(app)

@app.get("/")
def view():
    with tracer.start_as_current_span("in the view"):
        pass
    def stream():
        with tracer.start_as_current_span("while streaming"):
            yield b"x"
    return flask.Response(flask.stream_with_context(stream()))

class Quiet(WSGIRequestHandler):
    def log_message(self, *_): pass

server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
thread = threading.Thread(target=server.handle_request)
thread.start()
assert urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=10).read() == b"x"
thread.join()
server.server_close()
spans = {span.name: span.context.trace_id for span in exporter.get_finished_spans()}
same = {name: spans[name] == spans["GET /"] for name in ("in the view", "while streaming")}
for name, belongs in same.items():
    print(f"{name}: {'in the request' + chr(39) + 's trace' if belongs else 'a trace of its own'}")
raise SystemExit(same != {"in the view": True, "while streaming": False})
PY
timeout 60 "$work/venv/bin/python" "$work/program.py"
