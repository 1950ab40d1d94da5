"""The content that an app gives, as exact bytes: what is none is refused in the app's own line.

Called by exchange.py and response.py with each piece. Sends nothing.
"""

from __future__ import annotations

from greenserve.errors import AppError


def join(pieces: list[bytes]) -> bytes:
    """Join the pieces of a list. Raises AppError for one that is not bytes."""
    if {*map(type, pieces)} <= {bytes}:
        return b"".join(pieces)
    return b"".join(map(exact_bytes, pieces))  # join itself takes any buffer


def exact_bytes(piece: object) -> bytes:
    """The content of a bytes object, as exact bytes even for a subclass. Raises AppError for another type."""
    if not issubclass(type(piece), bytes):
        raise AppError(f"the app gave {type(piece).__name__} {_short(piece)} where PEP 3333 wants bytes")
    return bytes.__bytes__(piece)  # type: ignore[arg-type]  # seen above


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
