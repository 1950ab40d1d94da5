"""OpenTelemetry's metrics with several workers: `greenserve apps.hello:app -w 2 -c apps/opentelemetry_conf.py`.

Hooks, which greenserve calls in each worker. A provider that is made before the fork would go on in every worker: what
was counted before would be sent by each of them, and all under the master's process id.
"""

from __future__ import annotations

import os
import time
from typing import Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from greenserve.hooks import HookRequest, HookResponse, Process

access_logfile = "off"  # the metrics are on stdout


def post_fork(server: Process, worker: Process) -> None:
    """Make the provider of this worker. In production it exports by opentelemetry-exporter-otlp."""
    resource = Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", "hello"),
            "service.instance.id": str(worker.pid),
            "process.pid": worker.pid,
        }
    )
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(), export_interval_millis=10_000)
    # Without its own handler at exit: worker_exit comes first.
    metrics.set_meter_provider(MeterProvider([reader], resource, shutdown_on_exit=False))


def pre_request(worker: Process, req: HookRequest) -> None:
    """Note when the request began."""
    req.environ["hello.began"] = time.perf_counter()


def post_request(worker: Process, req: HookRequest, environ: dict[str, Any], resp: HookResponse) -> None:
    """Count the request, by the names of OpenTelemetry's conventions."""
    attributes: dict[str, Any] = {
        "http.request.method": req.method,
        "http.response.status_code": resp.status_code,
    }
    duration = metrics.get_meter("hello").create_histogram("http.server.request.duration", "s")
    duration.record(time.perf_counter() - environ["hello.began"], attributes)


def worker_exit(server: Process, worker: Process) -> None:
    """Send what was counted since the last time."""
    provider = metrics.get_meter_provider()
    if isinstance(provider, MeterProvider):
        provider.shutdown()
