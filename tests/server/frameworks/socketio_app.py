"""python-socketio without a framework, as its documentation has it for WSGI."""

from __future__ import annotations

from typing import Any

import socketio

sio = socketio.Server(async_mode="threading")
app = socketio.WSGIApp(sio)


@sio.event
def echo(sid: str, data: Any) -> Any:
    sio.emit("echoed", data, to=sid)
    return data
