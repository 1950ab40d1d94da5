"""notify(): tells systemd the state of the service, for units with Type=notify; see sd_notify(3).

Called by single.py and stopping.py. Does nothing without systemd or with another Type=.

Invariant: the server goes on, whatever systemd does.
"""

from __future__ import annotations

import logging
import os

from greenserve_hub.unpatched import socket

__all__ = ["notify"]

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
