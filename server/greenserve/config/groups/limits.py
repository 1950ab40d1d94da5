"""Settings: limits on numbers, times and sizes.

Part of Config, in settings.py. Each says what it protects against, for the limits table in server/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting

__all__ = ["LimitSettings"]

CONCURRENCY = "Concurrency"
TIMEOUTS = "Timeouts"
REQUESTS = "Request limits"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # Config has these
class LimitSettings:
    """The limits of a server."""

    pool: int = setting(
        1000,
        kinds.count(),
        group=CONCURRENCY,
        help="maximum number of requests that run at the same time; requests that wait for their client are not "
        "counted",
        protects="more requests at the same time than the app and its database can serve",
        precedent="gunicorn, eventlet 1000",
        flags=("--worker-connections",),
    )
    # Four times the pool: what an app holds for 5,000 slow clients still fits into the process.
    pool_overflow: int = setting(
        4000,
        kinds.count(least=0, zero="a slow client keeps its slot"),
        group=CONCURRENCY,
        help="maximum number of extra requests that may start while as many others wait for slow clients",
        protects="slow clients taking all slots of the pool while they send or read",
        precedent="SQLAlchemy max_overflow 10",
    )
    # Half of limit_connections: a burst of 4,000 is queued, not refused. If a request takes 2s, a pool of 1,000 reaches
    # the last of 5,000 just before queue_timeout.
    limit_queue: int = setting(
        5000,
        kinds.count(least=0),
        group=CONCURRENCY,
        help="maximum number of requests queued while the pool is full; further ones get 503 with Retry-After",
        protects="a queue so long that its last requests are answered after their clients gave up",
        precedent="mod_wsgi 100, Puma 1024",
    )
    limit_connections: int = setting(
        10_000,
        kinds.count(),
        group=CONCURRENCY,
        help="maximum number of open connections; a further one closes the connection that has been idle longest, "
        "or gets 503 with Retry-After if none is idle",
        protects="running out of descriptors and memory",
        precedent="waitress 100, nginx 512 a worker",
    )
    # A tenth of limit_connections: an attack needs ten addresses, and few NATs have more clients behind one address.
    limit_connections_per_ip: int = setting(
        1000,
        kinds.count(least=0, zero="unlimited"),
        group=CONCURRENCY,
        help="maximum number of open connections from one IPv4 address or IPv6 /64, except this machine and "
        "trusted proxies; further ones get 503 with Retry-After",
        protects="one client taking all connections",
        precedent="nginx limit_conn (its examples 1 to 10), mod_qos 50",
    )
    limit_unsent: int = setting(
        512 << 20,
        kinds.size(off="unlimited"),
        group=CONCURRENCY,
        help="memory for buffered responses and WebSocket messages; over this, the server resets the connections "
        "that have stalled longest",
        protects="clients that request much, or listen to much, and don't read it, until memory runs out",
        precedent="lighttpd, Envoy: per connection",
    )

    tls_handshake_timeout: float = setting(
        10.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="time for the TLS handshake, from the connection's first moment",
        protects="clients that connect to a TLS port and never finish the handshake",
        precedent="hypercorn 60s, nginx 60s",
    )
    head_timeout: float = setting(
        10.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="time for the whole head of a request, from its first byte; for the first request of a connection, "
        "from the connect; then 408",
        protects="slow-header clients (slowloris)",
        precedent="granian 30s, Apache 20s",
    )
    keep_alive: float = setting(
        75.0,
        kinds.duration(off="each connection closes after its response"),
        group=TIMEOUTS,
        help="time for which an idle connection stays open",
        protects="idle connections kept forever; longer than the 60s of common load balancers, so that the "
        "balancer closes first",
        precedent="nginx 75s, gunicorn 2s, uvicorn 5s",
        flags=("--timeout-keep-alive",),
    )
    body_timeout: float = setting(
        30.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="longest pause between two pieces of a request body; then 408",
        protects="slow-body clients that hold a slot of the pool",
        precedent="nginx 60s, Unit 30s",
    )
    body_min_rate: int = setting(
        500,
        kinds.rate(off="only body_timeout applies"),
        group=TIMEOUTS,
        help="minimum rate at which a request body must arrive while the server waits for it; slower gets 408",
        protects="bodies sent a byte at a time, each just before body_timeout",
        precedent="Apache mod_reqtimeout 500, Kestrel 240",
    )
    send_timeout: float = setting(
        30.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="longest pause in which a client takes nothing of a response; then the connection is reset",
        protects="clients that send requests and don't read the responses",
        precedent="nginx 60s, Unit 30s",
    )
    send_min_rate: int = setting(
        500,
        kinds.rate(off="only send_timeout applies"),
        group=TIMEOUTS,
        help="minimum rate at which a client must take a response while the server waits for it; slower "
        "connections are reset",
        protects="responses read a byte at a time, each just before send_timeout",
        precedent="Kestrel 240",
    )
    min_rate_grace: float = setting(
        10.0,
        kinds.duration(off="as long as body_timeout and send_timeout"),
        group=TIMEOUTS,
        help="time before body_min_rate and send_min_rate apply; a fast client may pause longer, up to "
        "body_timeout or send_timeout",
        protects="phones in a tunnel being cut off by the two minimum rates",
        precedent="Kestrel 5s, Apache 20s",
    )
    queue_timeout: float = setting(
        10.0,
        kinds.duration(off="requests wait forever"),
        group=TIMEOUTS,
        help="longest wait of a request for a slot of the pool; then 503 with Retry-After",
        protects="work for clients that have given up, while the pool is full",
        precedent="mod_wsgi 45s",
    )
    event_stream_retry: float = setting(
        0.0,
        kinds.duration(off="503, after which an EventSource never reconnects"),
        group=TIMEOUTS,
        help="time after which an EventSource reconnects if the server is full or stopping: it gets 200 and an "
        "empty stream, not 503",
        protects="event streams that end for good because the server was once full or restarting",
        precedent="none: in HTML any status but 200 ends an EventSource",
    )
    request_timeout: float = setting(
        300.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="time for the app to begin its response; then 504, and the server stays up",
        protects="an app that hangs and keeps its slot",
        precedent="mod_wsgi 60s",
    )
    cancel_on_disconnect: str = setting(
        "off",
        kinds.choice("off", "reset", "close"),
        group=TIMEOUTS,
        help="end of a request whose client leaves while the app runs. reset: if the client has surely left. close: "
        "also if it has ended its side more than 1s after the request, as browsers and proxies do when they give up. "
        "off: the app runs on",
        protects="apps that work for clients which have left",
        precedent="uvicorn and granian tell an ASGI app of it",
    )
    graceful_timeout: float = setting(
        30.0,
        kinds.duration(off="running requests are ended at once"),
        group=TIMEOUTS,
        help="time for running requests to finish after SIGTERM; then they are ended",
        protects="a stop or deploy that never ends",
        precedent="gunicorn 30s",
        flags=("--timeout-graceful-shutdown",),
    )
    # nginx reuses its last connection first, so a few requests are enough to close all that it keeps.
    drain_delay: float = setting(
        3.0,
        kinds.duration(off="idle connections are closed at once"),
        group=TIMEOUTS,
        help="time after SIGTERM in which idle connections may send one more request, answered with Connection: "
        "close; part of graceful_timeout",
        protects="requests lost because a proxy sends them while their connection is being closed",
        precedent="Envoy --drain-time-s 600",
    )
    drain_accept: bool = setting(
        False,
        kinds.boolean(),
        group=TIMEOUTS,
        help="accept new connections during drain_delay, for load balancers that notice a stop late, such as "
        "Kubernetes's",
    )

    limit_request_line: int = setting(
        8190,
        kinds.size(least=16),
        group=REQUESTS,
        help="maximum size of the request line; a larger one gets 414",
        protects="request lines that never end",
        precedent="Apache 8190, gunicorn 4094",
    )
    limit_request_field_size: int = setting(
        8190,
        kinds.size(least=16),
        group=REQUESTS,
        help="maximum size of a header field; a larger one gets 431",
        protects="header fields that never end",
        precedent="Apache, gunicorn 8190",
        flags=("--limit-request-field_size",),
    )
    limit_request_fields: int = setting(
        100,
        kinds.count(),
        group=REQUESTS,
        help="maximum number of header fields in a request; more get 431",
        protects="floods of small fields, each an entry of environ",
        precedent="Apache, gunicorn 100",
    )
    limit_request_head: int = setting(
        64 << 10,
        kinds.size(least=16),
        group=REQUESTS,
        help="maximum size of the whole head of a request; a larger one gets 431",
        protects="memory per connection: no head takes more than this",
        precedent="http.client, eventlet 64K",
    )
    limit_request_body: int = setting(
        16 << 20,
        kinds.size(off="unlimited"),
        group=REQUESTS,
        help="maximum size of a request body; a larger one gets 413",
        protects="uploads that fill memory or disk",
        precedent="hypercorn 16M, Unit 8M, nginx 1M",
    )
    limit_request_discard: int = setting(
        64 << 10,
        kinds.size(off="the connection closes at once"),
        group=REQUESTS,
        help="maximum size of a body that the app did not read and the server discards, to keep the connection "
        "open",
        protects="reading a long upload that the app does not want",
        precedent="Go net/http 256K",
    )
    chunked_bodies: str = setting(
        "auto",
        kinds.choice("auto", "stream", "buffer"),
        group=REQUESTS,
        help="handling of chunked bodies. stream: the app gets each chunk when it arrives. buffer: the server "
        "reads the whole body first and sets CONTENT_LENGTH. auto: buffer for apps of Django, Bottle, CherryPy "
        "and web.py, which would read nothing otherwise; stream for all others",
        protects="apps that read CONTENT_LENGTH bytes mistaking a chunked body for an empty one",
        precedent="waitress, nginx buffer",
    )
    header_map: str = setting(
        "drop",
        kinds.choice("drop", "refuse"),
        group=REQUESTS,
        help="handling of header fields with an underscore in the name: drop the field, or refuse the request "
        "with 400",
        protects="`X_Forwarded_For` passing for `X-Forwarded-For`: in environ both have the same key",
        precedent="gunicorn, nginx drop",
    )
