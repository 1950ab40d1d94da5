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
