"""One finished exchange, as the access log reads it.

An app's exchange, a refusal and an upgraded connection can make one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, TypeVar

__all__ = ["REQUEST_ID", "TRACE_ID", "Finished", "Record", "T"]

T = TypeVar("T")

# Where environ has what joins the lines of one request.
REQUEST_ID: Final = "greenserve.request_id"
TRACE_ID: Final = "greenserve.trace_id"


class Record(NamedTuple):
    """The facts of one line. Sizes are bytes of body; method, target and version are "" if the head was not read."""

    peer: str  # the client's address, empty for a unix socket
    peer_port: int | str
    method: str
    target: str  # as received
    version: str  # `HTTP/1.1`
    status: int
    bytes_sent: int
    bytes_received: int
    began: float  # as of time.time()
    seconds: float
    messages: tuple[int, int] | None  # received and sent, of a WebSocket
    environ: dict[str, Any] | None  # None if no app was called and the request has no id


class Finished(Protocol):
    """Something that was answered."""

    def record(self, began: float, seconds: float) -> Record:
        """Return its record: `began` as of time.time(), and how long it took. An app's environ can make it fail."""

    def tell(self, take: Callable[..., T], began: float, seconds: float) -> T:
        """Return what `take` makes of the fields of its record, in their order; which need not be made then."""
