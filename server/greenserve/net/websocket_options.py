"""What one kind of WebSocket may do and cost: the server's settings, with what a handler gives in their place.

Made once for a server and once for each handler that has its own; shared by their sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from greenserve.config import SETTINGS, Config
from greenserve.websocket import Compression, ReadLimits
from greenserve_hub.deadlines import NEVER

Origins = str | Sequence[str] | Callable[[str | None, Mapping[str, Any]], bool]


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

    @classmethod
    def of(cls, config: Config) -> Self:
        """Those of a server."""
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
        )

    def but(
        self,
        *,
        max_size: int | None = None,
        max_queue: int | None = None,
        max_unsent: int | None = None,
        when_slow: str | None = None,
        ping_interval: float | None = None,
        ping_timeout: float | None = None,
        idle_timeout: float | None = None,
        close_timeout: float | None = None,
        compression: bool | None = None,
        origins: Origins | None = None,
    ) -> Self:
        """These with others in their place, each as the setting of its name is given; None leaves the server's.

        `origins` may be a function too, of the Origin or None, and environ: whether it may connect. Raises ConfigError.
        """
        values = {
            "max_queue": max_queue,
            "max_unsent": max_unsent,
            "when_slow": when_slow,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "idle_timeout": idle_timeout,
            "close_timeout": close_timeout,
        }
        given: dict[str, Any] = {
            name: _parse(name, value) for name, value in values.items() if value is not None
        }
        for name in given.keys() & _TIMES:
            given[name] = given[name] or NEVER
        if max_size is not None:
            given["limits"] = self.limits._replace(size=_parse("max_size", max_size))
        if compression is not None:
            given["compression"] = (self.compression or Compression()) if compression else None
        if origins is not None:
            given["origins"] = origins if callable(origins) else _parse("origins", origins)
        return replace(self, **given)


_TIMES = {"ping_interval", "ping_timeout", "idle_timeout", "close_timeout"}


def _parse(name: str, value: object) -> Any:
    return SETTINGS[f"ws_{name}"].parse(value, f"keyword {name}")
