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
    """Tells systemd that the service is alive, if its unit has WatchdogSec=; see sd_watchdog_enabled(3).

    Between two programs in one process (SIGUSR2) nothing can: no thread lives through execve(2), and a thread that
    tells it while the next program imports its app would also tell it while that import hangs. So systemd is asked for
    more time before, which the next program gives back with its first ping. (EXTEND_TIMEOUT_USEC is for starts and
    stops alone.)
    """

    def __init__(self, every: float, is_extended: bool = False) -> None:
        """`every` so many seconds; 0 for never. `is_extended`: by the program before."""
        self.every = every
        self._next = 0.0
        self._is_extended = is_extended

    @classmethod
    def of(cls, environ: Mapping[str, str], is_extended: bool = False) -> Self:
        """Return that of this process, by systemd's variables."""
        period, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        is_asked = period.isdecimal() and pid in ("", str(os.getpid()))
        return cls(int(period) / 2e6 if is_asked else 0.0, is_extended)

    def extend(self, seconds: float) -> None:
        """Have systemd wait so much longer for the next ping; 0 for as long as it takes. Switches: never."""
        if self.every:
            self._is_extended = True
            self._tell_period(2 * self.every + seconds if seconds else 0)

    def ping(self) -> None:
        """Tell it, if half of the time is over. To be called several times in that. Switches: never."""
        now = time.monotonic()
        if self.every and (now >= self._next or self._is_extended):
            self._next = now + self.every
            if self._is_extended:
                self._is_extended = False
                self._tell_period(2 * self.every)
            else:
                notify("WATCHDOG=1")

    def _tell_period(self, seconds: float) -> None:
        notify(f"WATCHDOG_USEC={round(seconds * 1e6)}", "WATCHDOG=1")
