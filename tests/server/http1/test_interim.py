"""interim: 100 Continue (RFC 9110 §15.2.1) and 103 Early Hints (RFC 8297)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenserve.errors import AppError
from greenserve.http1 import CONTINUE, continue_head, hints_head

_EITHER = pytest.mark.parametrize("make", [continue_head, hints_head])
_Make = Callable[[Any], bytes]


def test_9110_15_2_1_continue_with_fields() -> None:
    assert continue_head([]) == CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert continue_head([("A", "b"), ("C", "\xe4")]) == b"HTTP/1.1 100 Continue\r\nA: b\r\nC: \xe4\r\n\r\n"


def test_8297_2_early_hints() -> None:
    link = "</style.css>; rel=preload; as=style"
    assert (
        hints_head([("Link", link), ("Link", "</a.js>; rel=preload")])
        == f"HTTP/1.1 103 Early Hints\r\nLink: {link}\r\nLink: </a.js>; rel=preload\r\n\r\n".encode()
    )


@_EITHER
@pytest.mark.parametrize(
    "fields",
    [
        [("A", "b\r\nC: d")],
        [("A", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")],
        [("A", "b\n")],
        [("A", "\0")],
        [("A", "\x1b")],
        [("A", "\u20ac")],
        [("A\r\nB", "c")],
        [("A B", "c")],
        [("", "c")],
        [("A", b"b")],
        [(b"A", "b")],
        [("A", None)],
        ["Ab"],
        [("A",)],
        {"Ab": "c"},
        (pair for pair in [("A", "b")]),
        None,
    ],
)
def test_9110_5_fields_are_checked_as_those_of_any_answer(make: _Make, fields: Any) -> None:
    with pytest.raises(AppError):
        make(fields)


@_EITHER
@pytest.mark.parametrize(
    "name",
    [
        "Content-Length",  # RFC 9110 §8.6
        "Transfer-Encoding",  # RFC 9112 §6.1
        "Connection",
        "Keep-Alive",
        "Upgrade",
        "Trailer",
        "TE",
        "Proxy-Authenticate",
    ],
)
def test_9110_7_6_1_nothing_of_framing_or_of_the_connection(make: _Make, name: str) -> None:
    for spelling in (name, name.lower(), name.upper()):
        with pytest.raises(AppError, match=f"(?i){name}"):
            make([("A", "b"), (spelling, "0")])
