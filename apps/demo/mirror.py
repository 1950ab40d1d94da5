"""How the demo reaches itself: some panels are clients of the very server that runs them."""

from __future__ import annotations

from typing import Any

EVERY_ADDRESS = {"", "0.0.0.0", "::"}


def address(request: Any) -> tuple[str, int]:
    """Where this server listens: by SERVER_NAME and SERVER_PORT, since a client's Host can say anything."""
    name = request.environ["SERVER_NAME"]
    return ("127.0.0.1" if name in EVERY_ADDRESS else name, int(request.environ["SERVER_PORT"] or 80))


def number(request: Any, name: str, default: int, most: int) -> int | None:
    """A number from the query, 1 to `most`; None where it is something else."""
    text = request.GET.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    return value if 1 <= (value := int(text)) <= most else None
