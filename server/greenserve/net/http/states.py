"""The states of a connection, and the ways between them. Drawn in README.md.

The table is not looked at while serving: the tests watch every step of every connection and hold it against this.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class State(Enum):
    """What a connection is doing."""

    PREFACE = "waiting for a PROXY header"
    HANDSHAKE = "agreeing on TLS"
    HEAD = "reading a head"
    BODY = "reading a body's beginning"
    QUEUED = "waiting for a slot"
    RUNNING = "in the app"
    UPGRADED = "beyond HTTP: a WebSocket"
    SENDING = "sending the rest of an answer"
    PARKED = "idle between requests"
    DISCARDING = "throwing away an unread body"
    LINGERING = "waiting for the client to close"
    CLOSED = "closed"


# Where a connection begins: behind a proxy that sends PROXY headers, with TLS, and without.
STARTS: Final = frozenset({State.PREFACE, State.HANDSHAKE, State.HEAD})

TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    State.PREFACE: frozenset({State.HANDSHAKE, State.HEAD, State.SENDING, State.CLOSED}),
    State.HANDSHAKE: frozenset({State.HEAD, State.SENDING, State.LINGERING, State.CLOSED}),
    State.HEAD: frozenset({State.BODY, State.QUEUED, State.RUNNING, State.SENDING, State.CLOSED}),
    State.BODY: frozenset({State.QUEUED, State.RUNNING, State.SENDING, State.CLOSED}),
    State.QUEUED: frozenset({State.RUNNING, State.SENDING, State.CLOSED}),
    State.RUNNING: frozenset(
        {
            State.UPGRADED,
            State.SENDING,
            State.PARKED,
            State.HEAD,
            State.DISCARDING,
            State.LINGERING,
            State.CLOSED,
        }
    ),
    State.UPGRADED: frozenset({State.LINGERING, State.CLOSED}),
    State.SENDING: frozenset({State.PARKED, State.HEAD, State.DISCARDING, State.LINGERING, State.CLOSED}),
    State.PARKED: frozenset(
        {State.HEAD, State.BODY, State.QUEUED, State.RUNNING, State.SENDING, State.CLOSED}
    ),
    State.DISCARDING: frozenset({State.PARKED, State.HEAD, State.LINGERING, State.CLOSED}),
    State.LINGERING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}
