"""Echoes per second of 64 WebSockets with 64 KiB of binary, no compression (the client offers none)."""

from tests.bench import frames
from tests.bench.scenarios import ws_echo

NAME = "ws-echo-64k"
TITLE = "WebSocket echo, 64 connections, 64 KiB of binary"
PEERS = ws_echo.PEERS
METRICS = ws_echo.METRICS


def measure(peer, settings):
    return ws_echo.measure(peer, settings, frames.BINARY, 65536)
