"""notify(): tells systemd the state of the service, for units with Type=notify; see sd_notify(3).

Called by single.py and stopping.py. Does nothing without systemd or with another Type=.

Invariant: the server goes on, whatever systemd does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Self

from greenserve_hub.unpatched import socket, time

__all__ = ["Watchdog", "notify", "notify_reloading"]

log = logging.getLogger("greenserve.error")

_PATIENCE = 1.0  # seconds; systemd's socket takes a datagram at once, unless its queue is full


def notify(*lines: str) -> None:
    """Send lines such as READY=1 to the socket in NOTIFY_SOCKET, if it is set. Switches: never."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):  # vsock:CID:PORT is for a whole virtual machine
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_PATIENCE)
            sock.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        log.warning(
            "systemd was not told %s: %s; if the unit waits for it, it will time out", lines[0], error
        )


def notify_reloading() -> None:
    """Tell systemd that a reload begins, which READY=1 ends (Type=notify-reload, systemd 253). Switches: never."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reloading")


class Watchdog:
    """Tells systemd that the service is alive, if its unit has WatchdogSec=; see sd_watchdog_enabled(3)."""

    def __init__(self, every: float) -> None:
        """`every` so many seconds; 0 for never."""
        self.every = every
        self._next = 0.0

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Return that of this process, by systemd's variables."""
        period, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        is_asked = period.isdecimal() and pid in ("", str(os.getpid()))
        return cls(int(period) / 2e6 if is_asked else 0.0)

    def ping(self) -> None:
        """Tell it, if half of the time is over. To be called several times in that. Switches: never."""
        now = time.monotonic()
        if self.every and now >= self._next:
            self._next = now + self.every
            notify("WATCHDOG=1")
