"""Sentry with several workers: `SENTRY_DSN=… greenserve apps/flask_app.py -w 2 -c apps/sentry_conf.py`.

Hooks, which greenserve calls in each worker. Sentry sends from a thread of its own, and allows itself two seconds for
what waits when a worker ends; worker_exit gives it more, so that the errors of the last requests arrive.
"""

from __future__ import annotations

import sentry_sdk

from greenserve.hooks import Process

_PATIENCE = 5.0  # seconds


def post_fork(server: Process, worker: Process) -> None:
    """Begin; SENTRY_DSN says where to. Sentry finds Flask, Django and others by itself."""
    sentry_sdk.init(server_name=f"worker {worker.pid}")


def worker_exit(server: Process, worker: Process) -> None:
    """Send what waits."""
    sentry_sdk.flush(timeout=_PATIENCE)
