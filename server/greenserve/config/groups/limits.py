"""The settings of the registry that stop something: how much at once, for how long, how large.

Part of Config: see settings.py. Each says what it protects against, for the limits table in server/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting

__all__ = ["LimitSettings"]

AT_ONCE = "How much at once"
TIMEOUTS = "Timeouts"
LIMITS = "Limits of a request"


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """How much of anything a server allows."""

    pool: int = setting(
        1000,
        kinds.count(),
        group=AT_ONCE,
        help="requests that run at once; one that waits for its own client does not count",
        protects="more requests at once than the app and its database can hold",
        precedent="gunicorn, eventlet 1000",
        flags=("--worker-connections",),
    )
    # Four times the pool: what 5,000 slow clients make an app hold is still less than what the process can.
    pool_overflow: int = setting(
        4000,
        kinds.count(least=0),
        group=AT_ONCE,
        help="requests beyond the pool that may begin while as many wait for their own clients; "
        "0: a slow client keeps its slot",
        protects="clients that send or read slowly taking all slots of the pool",
        precedent="SQLAlchemy max_overflow 10",
    )
    # Half of limit_connections. A burst of 4,000 still stands in line; if a request takes 2s, the last of 5,000 before
    # a pool of 1,000 has its turn just before queue_timeout.
    limit_queue: int = setting(
        5000,
        kinds.count(least=0),
        group=AT_ONCE,
        help="requests that wait in line when all slots are taken; more is 503 with Retry-After at once",
        protects="a line so long that its end is answered too late for anybody",
        precedent="mod_wsgi 100, Puma 1024",
    )
    limit_connections: int = setting(
        10_000,
        kinds.count(),
        group=AT_ONCE,
        help="sockets open at once; the next takes the place of the one that is idle for longest, "
        "or is answered 503 with Retry-After",
        protects="running out of descriptors and memory",
        precedent="waitress 100, nginx 512 a worker",
    )
    # A tenth of limit_connections: ten addresses have to conspire, and a carrier's NAT seldom has more behind one.
    limit_connections_per_ip: int = setting(
        1000,
        kinds.count(least=0),
        group=AT_ONCE,
        help="of these from one IPv4 address or IPv6 /64, this machine and trusted proxies apart; "
        "more is 503 with Retry-After; 0: no limit",
        protects="one client that takes all connections",
        precedent="nginx limit_conn (its examples 1 to 10), mod_qos 50",
    )
    limit_unsent: int = setting(
        512 << 20,
        kinds.size(off="as much as their apps made"),
        group=AT_ONCE,
        help="of whole answers, and WebSockets' messages, that wait in memory for their clients; beyond it those that "
        "have taken nothing for longest are reset",
        protects="clients that ask for large answers, or to hear much, and don't read, until memory is used up",
        precedent="lighttpd, Envoy: per connection",
    )

    tls_handshake_timeout: float = setting(
        10.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="from a connection's begin until both sides have agreed on TLS",
        protects="clients that connect to a TLS port and never finish the handshake",
        precedent="hypercorn 60s, nginx 60s",
    )
    head_timeout: float = setting(
        10.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="for the whole head of a request, from its first byte; then 408",
        protects="slow-header clients (slowloris)",
        precedent="granian 30s, Apache 20s",
    )
    keep_alive: float = setting(
        75.0,
        kinds.duration(off="each connection closes after its answer"),
        group=TIMEOUTS,
        help="an idle connection stays open",
        protects="idle connections kept for ever; longer than the 60s of common load balancers, so "
        "that the balancer closes first",
        precedent="nginx 75s, gunicorn 2s, uvicorn 5s",
        flags=("--timeout-keep-alive",),
    )
    body_timeout: float = setting(
        30.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="between two pieces of a request's body; then 408",
        protects="slow-body clients that hold a slot of the pool",
        precedent="nginx 60s, Unit 30s",
    )
    body_min_rate: int = setting(
        500,
        kinds.rate(off="only body_timeout holds"),
        group=TIMEOUTS,
        help="of a request's body, while the server waits for it; slower is 408",
        protects="bodies that drip, each byte just before body_timeout",
        precedent="Apache mod_reqtimeout 500, Kestrel 240",
    )
    send_timeout: float = setting(
        30.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="a send that makes no progress; then the connection is reset",
        protects="clients that ask and don't read",
        precedent="nginx 60s, Unit 30s",
    )
    send_min_rate: int = setting(
        500,
        kinds.rate(off="only send_timeout holds"),
        group=TIMEOUTS,
        help="at which a client takes an answer, while the server waits for it; slower is reset",
        protects="clients that read a byte now and then, each just before send_timeout",
        precedent="Kestrel 240",
    )
    min_rate_grace: float = setting(
        10.0,
        kinds.duration(off="as long as body_timeout and send_timeout"),
        group=TIMEOUTS,
        help="of waiting before body_min_rate and send_min_rate hold; one that is fast earns more, up to the timeout",
        protects="phones in a tunnel being cut off by the two minimum rates",
        precedent="Kestrel 5s, Apache 20s",
    )
    queue_timeout: float = setting(
        10.0,
        kinds.duration(off="requests wait without end"),
        group=TIMEOUTS,
        help="a request waits for a slot of the pool; then 503 with Retry-After",
        protects="work for clients that have given up, when the pool is full",
        precedent="mod_wsgi 45s",
    )
    event_stream_retry: float = setting(
        0.0,
        kinds.duration(off="503, after which an EventSource never asks again"),
        group=TIMEOUTS,
        help="time after which an EventSource that found no slot asks again: it gets 200 and an empty stream in "
        "place of 503",
        protects="event streams that end for good when the server was full, or restarting, once",
        precedent="none: HTML's EventSource takes any status but 200 for its end",
    )
    request_timeout: float = setting(
        300.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="until the app's answer begins; then 504, and only this request ends",
        protects="an app that hangs and holds its slot",
        precedent="mod_wsgi 60s",
    )
    graceful_timeout: float = setting(
        30.0,
        kinds.duration(off="running requests are ended at once"),
        group=TIMEOUTS,
        help="running requests may finish after SIGTERM; then they are ended",
        protects="a stop or deploy that never ends",
        precedent="gunicorn 30s",
        flags=("--timeout-graceful-shutdown",),
    )
    # nginx takes the connection that it has used last, so a few requests use up what it keeps.
    drain_delay: float = setting(
        3.0,
        kinds.duration(off="idle connections are closed at once"),
        group=TIMEOUTS,
        help="how long kept connections may still ask after SIGTERM, to be answered with Connection: close; "
        "within graceful_timeout",
        protects="requests that a proxy sends in the moment in which its connection is closed",
        precedent="Envoy --drain-time-s 600",
    )
    drain_accept: bool = setting(
        False,
        kinds.boolean(),
        group=TIMEOUTS,
        help="accept new connections too for all of drain_delay, since a load balancer such as that of Kubernetes "
        "learns late that this server stops",
    )

    limit_request_line: int = setting(
        8190,
        kinds.size(least=16),
        group=LIMITS,
        help="the request line; more is 414",
        protects="endless request lines",
        precedent="Apache 8190, gunicorn 4094",
    )
    limit_request_field_size: int = setting(
        8190,
        kinds.size(least=16),
        group=LIMITS,
        help="one header field; more is 431",
        protects="endless header fields",
        precedent="Apache, gunicorn 8190",
        flags=("--limit-request-field_size",),
    )
    limit_request_fields: int = setting(
        100,
        kinds.count(),
        group=LIMITS,
        help="header fields of one request; more is 431",
        protects="floods of small fields, each an entry of environ",
        precedent="Apache, gunicorn 100",
    )
    limit_request_head: int = setting(
        64 << 10,
        kinds.size(least=16),
        group=LIMITS,
        help="the whole head of a request; more is 431",
        protects="memory per connection: no head takes more than this",
        precedent="http.client, eventlet 64K",
    )
    limit_request_body: int = setting(
        16 << 20,
        kinds.size(off="bodies of any length"),
        group=LIMITS,
        help="the body of a request; more is 413",
        protects="uploads that fill memory or disk",
        precedent="hypercorn 16M, Unit 8M, nginx 1M",
    )
    limit_request_discard: int = setting(
        64 << 10,
        kinds.size(off="nothing is read, the connection closes"),
        group=LIMITS,
        help="body that the app left unread, thrown away to keep the connection",
        protects="reading a long upload that nobody wants",
        precedent="Go net/http 256K",
    )
    chunked_bodies: str = setting(
        "auto",
        kinds.choice("auto", "stream", "buffer"),
        group=LIMITS,
        help="way of bodies that come in chunks: stream gives them to the app as they come, buffer reads them first "
        "and gives CONTENT_LENGTH, auto buffers for apps of Django, Bottle, CherryPy and web.py, which would read "
        "nothing",
        protects="apps that read by CONTENT_LENGTH alone taking a body in chunks for an empty one",
        precedent="waitress, nginx buffer",
    )
    header_map: str = setting(
        "drop",
        kinds.choice("drop", "refuse"),
        group=LIMITS,
        help="what becomes of a field whose name has an underscore: it is dropped, or the request refused with 400",
        protects="`X_Forwarded_For` passing for `X-Forwarded-For`: in environ both are one key",
        precedent="gunicorn, nginx drop",
    )
