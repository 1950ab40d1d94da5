"""eventlet.green.socket: the socket module, whose sockets are eventlet's GreenSocket."""

from __future__ import annotations

from typing import Any

from greenserve_eventlet.greenio.base import GreenSocket
from greenserve_hub import import_patched

_green = import_patched("socket")
# Its functions look the class up there.
_green.__dict__["socket"] = GreenSocket
globals().update({name: value for name, value in vars(_green).items() if not name.startswith("__")})


def __getattr__(name: str) -> Any:
    return getattr(_green, name)  # for type checkers
