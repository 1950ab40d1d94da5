"""WebSocketOptions: limits and times of WebSockets, from the server's settings and what a handler sets for itself.

Made once for a server and once for each WebSocketWSGI that has its own; shared by their sockets.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final, Self

from greenserve.config import SETTINGS, Config
from greenserve.errors import ConfigError
from greenserve.logs.throttled import ThrottledLog
from greenserve.websocket import Compression, Origins, ReadLimits
from greenserve_hub.deadlines import NEVER
from greenserve_hub.unpatched import time


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """Sizes in bytes, times in seconds, where NEVER is off."""

    limits: ReadLimits
    max_queue: int
    max_unsent: int
    when_slow: str  # wait, drop or close
    ping_interval: float
    ping_timeout: float
    idle_timeout: float
    close_timeout: float
    compression: Compression | None
    origins: Origins
    refusals: ThrottledLog  # the log's lines about Origins, of all handlers of a server

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return those of a server."""
        return cls(
            ReadLimits(config.ws_max_size, config.ws_max_frames, config.ws_max_ratio),
            config.ws_max_queue,
            config.ws_max_unsent,
            config.ws_when_slow,
            config.ws_ping_interval or NEVER,
            config.ws_ping_timeout or NEVER,
            config.ws_idle_timeout or NEVER,
            config.ws_close_timeout or NEVER,
            Compression() if config.ws_compression else None,
            config.ws_origins,
            ThrottledLog(time.monotonic, logging.WARNING),
        )

    def but(self, own: Mapping[str, Any]) -> Self:
        """Return these with a handler's own in their place, as parse_options returns them."""
        if not own:
            return self
        limits = self.limits._replace(**{_LIMITS[name]: own[name] for name in own.keys() & _LIMITS.keys()})
        rest = {name: value for name, value in own.items() if name not in _LIMITS}
        return replace(self, limits=limits, **rest)


def parse_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a handler sets for itself. Values use the syntax of the matching ws_* setting; None is left out.

    `origins` may also be a function of the Origin or None, and environ, that returns True to let it connect;
    `compression` a Compression. Raises ConfigError for bad values and unknown names.
    """
    for name in options:
        if name not in _NAMES:
            close = get_close_matches(name, _NAMES, 1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(_NAMES)}"
            raise ConfigError(f"a WebSocket has no option {name}; {hint}")
    return {name: _parse(name, value) for name, value in options.items() if value is not None}


_LIMITS: Final = {"max_size": "size", "max_frames": "frames", "max_ratio": "ratio"}
_TIMES: Final = ("ping_interval", "ping_timeout", "idle_timeout", "close_timeout")
_NAMES: Final = (
    *("subprotocols", "headers", "origins", "compression"),
    *_LIMITS,
    *("max_queue", "max_unsent", "when_slow"),
    *_TIMES,
)


def _parse(name: str, value: Any) -> Any:
    if (name == "origins" and callable(value)) or (name == "compression" and isinstance(value, Compression)):
        return value
    parsed = SETTINGS[f"ws_{name}"].parse(value, f"keyword {name}")
    if name == "compression":
        return Compression() if parsed else None
    return (parsed or NEVER) if name in _TIMES else parsed
