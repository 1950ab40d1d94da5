"""holder_of_request(): finds the request or WebSocket that an OS thread is busy with, by the frames of its stack."""

from __future__ import annotations

from types import FrameType

from greenserve.logs.record import REQUEST_ID
from greenserve.net import WebSocket
from greenserve.net.websockets.callbacks import Callbacks
from greenserve.wsgi import Exchange
from greenserve_hub.diagnostics.holders import frames_of, holder_of


def holder_of_request(frame: FrameType) -> str:
    """Return the request, its client and its green thread, for the log; without a request, its green thread."""
    for one in frames_of(frame):
        if one.f_code.co_varnames[:1] == ("self",):
            found = one.f_locals.get("self")
            if isinstance(found, Exchange):
                known = found.environ.get(REQUEST_ID)
                named = f"{found} [{known}]" if known else str(found)
                return f"{named} of {found.peer or 'unix'}:{found.peer_port}, {holder_of(frame)}"
            if isinstance(found, WebSocket | Callbacks):
                return f"{found!r}, {holder_of(frame)}"
    return holder_of(frame)
