"""The settings of the registry that are about WebSockets.

Part of Config: see settings.py. An app may give its own values for each handler, where WebSocketWSGI takes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.peer_kinds import origins
from greenserve.config.values.registry import setting

__all__ = ["WebSocketSettings"]

WEBSOCKETS = "WebSockets"


@dataclass(frozen=True, kw_only=True)
class WebSocketSettings:
    """What a WebSocket may cost, and how long it may be silent."""

    # A tenth of limit_connections stays for requests.
    limit_websockets: int = setting(
        9000,
        kinds.count(least=0),
        group=WEBSOCKETS,
        help="WebSockets open at once; the next is answered 503 with Retry-After; 0: none is let in",
        protects="WebSockets that leave no connection for requests",
        precedent="waitress 100 connections, nginx 512 a worker",
    )
    ws_max_size: int = setting(
        16 << 20,
        kinds.size(off="messages of any length"),
        group=WEBSOCKETS,
        help="a message, all its fragments together and after inflation; more is 1009",
        protects="messages that fill memory, deflate bombs",
        precedent="uvicorn, hypercorn 16M, eventlet 8M",
        flags=("--websocket-max-message-size",),
    )
    ws_max_frames: int = setting(
        131_072,
        kinds.count(),
        group=WEBSOCKETS,
        help="fragments of a message; more is 1008",
        protects="messages in fragments of a byte, each of which costs as much as a message",
        precedent="ws (Node) 131072",
    )
    ws_max_ratio: int = setting(
        200,
        kinds.count(least=0),
        group=WEBSOCKETS,
        help="what a message may grow by inflation, where it is longer than 4 MiB; more is 1009; 0: anything",
        protects="deflate bombs: a thousand times the memory that was sent",
        precedent="Apache DeflateInflateRatioLimit 200",
    )
    ws_max_queue: int = setting(
        32,
        kinds.count(),
        group=WEBSOCKETS,
        help="messages that wait for the app; then no more is read until it takes one",
        protects="clients that send faster than the app takes, until memory is used up",
        precedent="uvicorn, websockets 32",
    )
    ws_max_unsent: int = setting(
        1 << 20,
        kinds.size(least=1),
        group=WEBSOCKETS,
        help="that waits for a client which reads slowly; beyond it ws_when_slow says what happens",
        protects="clients that don't read what is sent to them",
        precedent="Socket.IO 100M, websockets 32K",
    )
    ws_when_slow: str = setting(
        "wait",
        kinds.choice("wait", "drop", "close"),
        group=WEBSOCKETS,
        help="send() to such a client waits, drops the message, or closes the connection; what a Room sends is never "
        "waited with: wait counts as close there",
    )
    ws_ping_interval: float = setting(
        20.0,
        kinds.duration(off="no pings"),
        group=WEBSOCKETS,
        help="of silence after which a client is pinged",
        protects="clients that have gone without a word, and proxies that cut silent connections after a minute",
        precedent="uvicorn, websockets 20s",
    )
    ws_ping_timeout: float = setting(
        20.0,
        kinds.duration(off="for ever"),
        group=WEBSOCKETS,
        help="until something must have come after a ping; then 1011",
        protects="half-open connections that keep their place",
        precedent="uvicorn, websockets 20s",
    )
    ws_idle_timeout: float = setting(
        0.0,
        kinds.duration(off="as long as it answers pings"),
        group=WEBSOCKETS,
        help="without a message in either direction; then it is closed with 1000",
        protects="clients that answer pings and do nothing else",
        precedent="Jetty 30s, Tomcat off",
    )
    ws_close_timeout: float = setting(
        10.0,
        kinds.duration(off="for ever"),
        group=WEBSOCKETS,
        help="for the client to agree to a close; then the connection is cut",
        protects="clients that never agree to the end",
        precedent="websockets 10s",
    )
    ws_compression: bool = setting(
        True,
        kinds.boolean(),
        group=WEBSOCKETS,
        help="agree to permessage-deflate where a client offers it",
        precedent="uvicorn",
        flags=("--ws-per-message-deflate",),
    )
    ws_origins: tuple[str, ...] = setting(
        ("same",),
        origins(),
        group=WEBSOCKETS,
        help="pages of which sites may connect: same (the one that they connect to), *, or https://app.example, … ; "
        "others are answered 403",
        protects="pages of strangers that connect in the name of whoever looks at them",
        precedent="Django Channels ALLOWED_HOSTS, Rails same",
    )
