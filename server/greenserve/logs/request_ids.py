"""The id of a request, and that of its trace: made here if no proxy gave one, and read by every log line about it.

An exchange calls begin() in its own context, so that the ids are in all that the request calls or spawns (contextvars).
RequestContext is for the handlers of apps, which log with the standard `logging`.

Facts: an id for each request costs its making, a field of environ and one of the response. Decision: random ids are
made in one go for many requests; a server without the setting request_id_header makes none.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Final

from greenserve.logs.record import REQUEST_ID, TRACE_ID
from greenserve_hub.unpatched import os

__all__ = ["RequestContext", "RequestIds", "ids_of", "request_id", "trace_id"]

request_id: Final[ContextVar[str]] = ContextVar("greenserve.request_id", default="")
trace_id: Final[ContextVar[str]] = ContextVar("greenserve.trace_id", default="")

_BYTES: Final = 16  # of each id; twice as many hex digits, as in a UUID
_AT_ONCE: Final = 64  # ids that are made in one go


class RequestIds:
    """Makes the ids of one server, which must have been started after the process was forked."""

    __slots__ = ("_made", "field", "in_response", "sought")

    def __init__(self, field: str, in_response: bool) -> None:
        """`field` is the name under which a response has the id, if `in_response`."""
        self.field = field
        self.sought = f"\r\n{field.lower()}:".encode()  # what a head has if an app sends its own
        self.in_response = in_response
        self._made: list[str] = []

    def make(self) -> str:
        """Return a new id: 32 hex digits that nobody can guess."""
        try:
            return self._made.pop()
        except IndexError:
            text = os.urandom(_BYTES * _AT_ONCE).hex()
            step = 2 * _BYTES
            self._made = [text[at : at + step] for at in range(0, len(text), step)]
            return self._made.pop()

    def begin(self, environ: MutableMapping[str, Any]) -> None:
        """Set the ids in the current context, and in environ the one that no trusted proxy gave. Switches: never."""
        known = environ.get(REQUEST_ID)
        if known is None:
            known = environ[REQUEST_ID] = self.make()
        request_id.set(known)
        trace = environ.get(TRACE_ID)
        if trace is not None:
            trace_id.set(trace)

    def line(self) -> str:
        """Return the field for the response in the current context, as a whole line; "" for none."""
        known = request_id.get()
        return f"{self.field}: {known}\r\n" if known and self.in_response else ""


def ids_of(record: logging.LogRecord) -> tuple[str, str]:
    """Return the ids of the request and the trace of a record, or those of the context; "" for none."""
    return (
        getattr(record, "request_id", "") or request_id.get(),
        getattr(record, "trace_id", "") or trace_id.get(),
    )


class RequestContext(logging.Filter):
    """Adds `request_id` and `trace_id` to each record, for a formatter: `%(request_id)s`; "-" outside of requests.

    `handler.addFilter(RequestContext())`, or as a filter of dictConfig: `{"()": "greenserve.RequestContext"}`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True: every record passes."""
        known, trace = ids_of(record)
        record.request_id = known or "-"
        record.trace_id = trace or "-"
        return True
