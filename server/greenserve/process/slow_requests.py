"""SlowRequests: logs a request that runs for longer than slow_request, once while it runs and once at its end.

Facts: a timer for each request would cost each request. The pool knows its running green threads, and counts the jobs
of each. Decision: four times per slow_request a look at the pool finds those that have the same job as three looks
before; only of these the frames are read, for the request and the time when it began. Cost: a microsecond per running
request and look, and nothing for a request.

As for request_timeout, the time counts until the response begins: a download and an event stream may last. A request
that holds the hub is no matter of this file: the watchdog tells of it.

Made by debugging.py and embedded.py, in the server's hub.
"""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple, Self
from weakref import ref

from greenlet import greenlet

from greenserve.logs.record import REQUEST_ID, TRACE_ID
from greenserve.net import Server
from greenserve.net.http.request import Request
from greenserve.wsgi import Exchange
from greenserve_hub.diagnostics.holders import frames_of
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.origins import stack_of

__all__ = ["SlowRequests"]

log = logging.getLogger("greenserve.error")

_LOOKS: Final = 4  # in the time of slow_request
_MOST: Final = 10  # requests that are told of after one look: a stack has many lines


class _Job(NamedTuple):
    """What a green thread of the pool did when it was looked at."""

    generation: int
    since: float  # when that was first seen
    is_told: bool


class SlowRequests:
    """Looks at the requests of one server, inside its block."""

    def __init__(self, server: Server, hub: Hub, threshold: float) -> None:
        """`threshold` in seconds."""
        self._server = server
        self._hub = hub
        self._threshold = threshold
        self._jobs: dict[greenlet, _Job] = {}
        self._timer = hub.make_deadline(self._look)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._timer.arm(self._hub.clock() + self._threshold / _LOOKS)
        return self

    def __exit__(self, *error: object) -> None:
        """Look no more."""
        self._timer.disarm()
        self._jobs.clear()

    def _look(self) -> None:
        """From the hub. Switches: never."""
        now = self._hub.clock()
        self._timer.arm(now + self._threshold / _LOOKS)
        jobs: dict[greenlet, _Job] = {}
        told = left_out = 0
        for worker in self._server.queue.pool.members():
            generation: int = getattr(worker, "generation", 0)
            job = self._jobs.get(worker)
            if job is None or job.generation != generation:
                job = _Job(generation, now, False)
            elif not job.is_told and now - job.since >= self._threshold * (_LOOKS - 1) / _LOOKS:
                slow = _find(worker)
                if slow is None or slow.exchange.response.status:
                    job = job._replace(is_told=True)  # its response has begun
                elif now - slow.began >= self._threshold:
                    job = job._replace(is_told=True)
                    if told < _MOST:
                        self._tell(slow, now)
                        told += 1
                    else:
                        left_out += 1
            jobs[worker] = job
        self._jobs = jobs
        if left_out:
            log.warning(
                "%d more requests have run for %g s (slow_request): they may wait for the same",
                left_out,
                self._threshold,
            )

    def _tell(self, slow: _Slow, now: float) -> None:
        exchange = slow.exchange
        waiter = self._hub.parked.get(slow.worker)
        log.warning(
            "%s of %s:%s has run for %.1f s so far (slow_request)%s, and is here:\n%s",
            exchange,
            exchange.peer or "unix",
            exchange.peer_port,
            now - slow.began,
            f", waits {now - waiter.since:.1f} s: {waiter}" if waiter is not None else "",
            stack_of(slow.worker.gr_frame),
            extra=_ids(exchange.environ),
        )
        # Weakly: the exchange holds its post-hooks.
        exchange.posthooks.append((self._ended, (str(exchange), slow.began, ref(exchange)), {}))

    def _ended(self, environ: dict[str, Any], name: str, began: float, exchange: ref[Exchange]) -> None:
        """Called as a post-hook."""
        seconds = self._hub.clock() - began
        known = exchange()
        status = known.response.status if known is not None else 0
        log.warning(
            "%s has ended after %.3f s (slow_request), with %s",
            name,
            seconds,
            f"status {status}" if status else "no response",
            extra=_ids(environ),
        )


class _Slow(NamedTuple):
    """A running request."""

    worker: greenlet
    exchange: Exchange
    began: float


def _find(worker: greenlet) -> _Slow | None:
    """Return the request that a green thread runs; None if it runs none, or is between two."""
    exchange: Exchange | None = None
    # No frames of one that runs; while the hub calls this, none does.
    for frame in frames_of(worker.gr_frame):
        if frame.f_code is Exchange.run.__code__:
            exchange = frame.f_locals["self"]
        elif frame.f_code is Request.run.__code__ and exchange is not None:
            return _Slow(worker, exchange, frame.f_locals["now"])
    return None


def _ids(environ: dict[str, Any]) -> dict[str, Any]:
    return {"request_id": environ.get(REQUEST_ID, ""), "trace_id": environ.get(TRACE_ID, "")}
