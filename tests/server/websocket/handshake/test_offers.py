"""offers: the grammar of RFC 6455 §9.1 and of lists of tokens (RFC 9110 §5.6.1)."""

from __future__ import annotations

from contextlib import suppress
from time import process_time

import pytest
from tests.support.times import MS

from greenserve.websocket import HandshakeError
from greenserve.websocket.handshake.offers import Offer, parse_offers, parse_tokens


@pytest.mark.parametrize(
    ("field", "offers"),
    [
        ("", []),
        (" , ,\t", []),
        ("foo", [("foo", [])]),
        ("Foo , BAR;Baz", [("foo", []), ("bar", [("baz", None)])]),
        ("a;b=c;d", [("a", [("b", "c"), ("d", None)])]),
        ("a ; b = c", [("a", [("b", "c")])]),
        ('a;b="c";d="1\\5"', [("a", [("b", "c"), ("d", "15")])]),
        ("a;b;b=1, a", [("a", [("b", None), ("b", "1")]), ("a", [])]),
        ("!#$%&'*+-.^_`|~", [("!#$%&'*+-.^_`|~", [])]),
    ],
)
def test_9_1_extensions(field: str, offers: list[Offer]) -> None:
    assert parse_offers(field) == offers


@pytest.mark.parametrize(
    "field",
    [
        *(
            ";",
            "a;",
            "a;;b",
            ";a",
            "a=b",
            "a=b;c",
            "a b",
            "a;b=",
            "a;=c",
            "a;b=c d",
            "a;b c",
            "a/b",
            "a;b=c=d",
        ),
        *(
            'a;b="c',
            'a;b="',
            'a;b=""',
            'a;b="c d"',
            'a;b="c,d"',
            'a;b="\\',
            '"a"',
            'a;b="c"d',
            "é",
            "a\0",
            "a\r\n",
            "a;b=é",
        ),
        *("a,;b", "a, ;", "a;,b"),
    ],
)
def test_9_1_what_is_malformed_fails_the_handshake(field: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        parse_offers(field)
    assert caught.value.status == 400
    assert "RFC 6455 §9.1" in caught.value.reason


@pytest.mark.parametrize(
    "field", ["a" * 60_000, "a;" * 30_000, "a;b=" + '"' * 60_000, 'a;b="' + "\\" * 60_000, "," * 60_000]
)
def test_9_1_the_time_is_linear(field: str) -> None:
    began = process_time()
    with suppress(HandshakeError):
        parse_offers(field)
    assert process_time() - began < 500 * MS


def test_tokens() -> None:
    assert parse_tokens("a, b ,,c\t,") == ["a", "b", "c"]
    assert parse_tokens(" , ") == []
    for bad in ("a b", "a, b/c", "é", 'a, "b"', "a\n", "a;b"):
        assert parse_tokens(bad) is None
