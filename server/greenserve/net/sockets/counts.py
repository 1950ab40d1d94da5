"""What has happened in one server since its start, counted where it happens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Only ever added to; read for Stats."""

    accepted: int = 0  # connections
    refused: int = 0  # answered with an error before an app saw them
    accept_errors: int = 0
    handshake_errors: int = 0  # connections that ended before both sides had agreed on TLS
    upgraded: int = 0  # connections that have left HTTP
    request_timeouts: int = 0  # requests that request_timeout has ended
    cancelled: int = 0  # requests that ran when their clients left (cancel_on_disconnect)
    # Requests that no app saw, because there were too many, by what ended them.
    shed_queue_timeout: int = 0
    shed_request_start: int = 0  # they had waited for too long at the proxy
    shed_stopping: int = 0
    shed_client_left: int = 0  # while its request waited for a slot
    shed_limit_websockets: int = 0
