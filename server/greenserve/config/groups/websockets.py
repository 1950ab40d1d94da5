"""Settings: WebSockets. Part of Config, in settings.py.

WebSocketWSGI takes other values for a single handler.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.peer_kinds import origins
from greenserve.config.values.registry import setting

__all__ = ["WebSocketSettings"]

WEBSOCKETS = "WebSockets"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # Config has these
class WebSocketSettings:
    """The limits and times of a WebSocket."""

    # A tenth of limit_connections is left for requests.
    limit_websockets: int = setting(
        9000,
        kinds.count(least=0, zero="none is accepted"),
        group=WEBSOCKETS,
        help="maximum number of open WebSockets; further ones get 503 with Retry-After",
        protects="WebSockets that leave no connections for requests",
        precedent="waitress 100 connections, nginx 512 a worker",
    )
    ws_max_size: int = setting(
        16 << 20,
        kinds.size(off="unlimited"),
        group=WEBSOCKETS,
        help="maximum size of a message, all fragments together and decompressed; a larger one closes with 1009",
        protects="messages that fill memory, deflate bombs",
        precedent="uvicorn, hypercorn 16M, eventlet 8M",
        flags=("--websocket-max-message-size",),
    )
    ws_max_frames: int = setting(
        131_072,
        kinds.count(),
        group=WEBSOCKETS,
        help="maximum number of fragments of a message; more close with 1008",
        protects="messages in fragments of one byte, each as expensive as a message",
        precedent="ws (Node) 131072",
    )
    ws_max_ratio: int = setting(
        200,
        kinds.count(least=0, zero="unlimited"),
        group=WEBSOCKETS,
        help="highest ratio of a message's decompressed to its compressed size, checked for messages over 4 MiB "
        "(decompressed); more closes with 1009",
        protects="deflate bombs: a thousand times the memory that was sent",
        precedent="Apache DeflateInflateRatioLimit 200",
    )
    ws_max_queue: int = setting(
        32,
        kinds.count(),
        group=WEBSOCKETS,
        help="maximum number of messages queued for the app; while the queue is full nothing more is read",
        protects="clients that send faster than the app reads, until memory runs out",
        precedent="uvicorn, websockets 32",
    )
    ws_max_unsent: int = setting(
        1 << 20,
        kinds.size(least=1),
        group=WEBSOCKETS,
        help="maximum number of bytes buffered for a client that reads slowly; beyond it ws_when_slow applies",
        protects="clients that don't read what is sent to them",
        precedent="Socket.IO 100M, websockets 32K",
    )
    ws_when_slow: str = setting(
        "wait",
        kinds.choice("wait", "drop", "close"),
        group=WEBSOCKETS,
        help="action of send() when ws_max_unsent is reached: wait, drop the message, or close the connection; "
        "in a Room, wait acts like close",
    )
    ws_ping_interval: float = setting(
        20.0,
        kinds.duration(off="no pings"),
        group=WEBSOCKETS,
        help="silence after which a client is pinged",
        protects="clients that vanish without closing, and proxies that cut silent connections after a minute",
        precedent="uvicorn, websockets 20s",
    )
    ws_ping_timeout: float = setting(
        20.0,
        kinds.duration(off="wait forever"),
        group=WEBSOCKETS,
        help="time after a ping; if nothing arrives in it, the server closes with 1011",
        protects="half-open connections that keep their place",
        precedent="uvicorn, websockets 20s",
    )
    ws_idle_timeout: float = setting(
        0.0,
        kinds.duration(off="open while it answers pings"),
        group=WEBSOCKETS,
        help="time without a message in either direction; then closed with 1000",
        protects="clients that answer pings and do nothing else",
        precedent="Jetty 30s, Tomcat off",
    )
    ws_close_timeout: float = setting(
        10.0,
        kinds.duration(off="wait forever"),
        group=WEBSOCKETS,
        help="time for the client to answer a Close; then the connection is cut",
        protects="clients that never complete the closing handshake",
        precedent="websockets 10s",
    )
    ws_restart_jitter: float = setting(
        5.0,
        kinds.duration(off="all at once"),
        group=WEBSOCKETS,
        help="time after SIGTERM and drain_delay over which WebSockets and event streams are ended one after another, "
        "in random order; at most half of what is left of graceful_timeout",
        protects="ten thousand clients that all come back in the same second",
        precedent="Envoy drains gradually over --drain-time-s",
    )
    ws_compression: bool = setting(
        True,
        kinds.boolean(),
        group=WEBSOCKETS,
        help="accept permessage-deflate if a client offers it",
        precedent="uvicorn",
        flags=("--ws-per-message-deflate",),
    )
    ws_origins: tuple[str, ...] = setting(
        ("same",),
        origins(),
        group=WEBSOCKETS,
        help="sites whose pages may connect: same (only pages of this site), *, or origins such as "
        "https://app.example; others get 403",
        protects="pages of foreign sites connecting as the user who has them open",
        precedent="Django Channels ALLOWED_HOSTS, Rails same",
    )
