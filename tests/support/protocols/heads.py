"""Heads for tests of the protocol core: one line in, what became of it out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from greenserve.errors import ProtocolError
from greenserve.http1 import BodyFraming, HeadLimits, HeadReader, RequestHead

# RFC 9112 §2.1, §3 and §5, written down a second time: whatever is taken must be of this form.
GRAMMAR = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/1\.[01]\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)*\r\n"
)

LIMITS = HeadLimits(line=8190, field_size=8190, fields=100, head=65536)


def read(*pieces: bytes, limits: HeadLimits = LIMITS) -> tuple[RequestHead, bytes]:
    """The head in `pieces` and what follows it."""
    reader = HeadReader(limits)
    for number, piece in enumerate(pieces):
        rest = reader.feed(piece)
        if rest is not None:
            assert reader.head is not None
            return reader.head, rest + b"".join(pieces[number + 1 :])
    raise AssertionError("the head never ended")


def is_well_formed(data: bytes, rest: bytes) -> bool:
    """Whether `data`, of which `rest` is left, begins with a head by the grammar and empty lines before it."""
    taken = data[: len(data) - len(rest)]
    return GRAMMAR.fullmatch(taken.lstrip(b"\r\n")) is not None


def head(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "x") -> RequestHead:
    """The head that these lines make."""
    return read(raw(line, *fields, host=host))[0]


def raw(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "x") -> bytes:
    """The bytes that these lines make."""
    lines = [line, *([] if host is None else [f"Host: {host}"]), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def refusal(*pieces: bytes, limits: HeadLimits = LIMITS) -> ProtocolError:
    """The error that `pieces` are refused with."""
    try:
        found = read(*pieces, limits=limits)
    except ProtocolError as error:
        return error
    raise AssertionError(f"not refused: {found[0].method} {found[0].target}")


def status(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "x") -> int:
    """The status that these lines are refused with."""
    return refusal(raw(line, *fields, host=host)).status


def fed(framing: BodyFraming, pieces: list[bytes]) -> Any:
    """The content of a body in `pieces` and what follows it; None if it never ended, a status if it was refused."""
    content = b""
    try:
        for number, piece in enumerate(pieces):
            content += framing.feed(piece)
            if framing.done:
                return content, framing.rest + b"".join(pieces[number + 1 :])
    except ProtocolError as error:
        return error.status
    return content, None


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` cut at the given places, wherever these are."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]
