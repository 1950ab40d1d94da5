"""tls_environ: mod_ssl's names, and distinguished names that say what the certificate says and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.wsgi.environ.tls_environ import distinguished_name


def cn(value: str) -> str:
    return distinguished_name(((("commonName", value),),)).removeprefix("CN=")


def test_rfc_4514_2_1_the_last_part_comes_first() -> None:
    name = (
        (("countryName", "DE"),),
        (("organizationName", "Example"),),
        (("commonName", "Ada"), ("userId", "ada")),
        (("emailAddress", "ada@example.org"),),
    )
    assert distinguished_name(name) == "emailAddress=ada@example.org,CN=Ada+UID=ada,O=Example,C=DE"


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("Ada", "Ada"),
        ("x,O=Admins", r"x\,O=Admins"),
        ("x+CN=root", r"x\+CN=root"),
        ('a"b<c>d;e', r"a\"b\<c\>d\;e"),
        ("back\\slash", r"back\\slash"),
        (" both ", r"\ both\ "),
        (" ", r"\ "),
        ("#1", r"\#1"),
        ("a # b", "a # b"),
        ("a\r\nSet-Cookie: x", r"a\0D\0ASet-Cookie: x"),
        ("nul\0", r"nul\00"),
        ("Zoë", r"Zo\C3\AB"),
        ("\ud800", r"\3F"),
        ("", ""),
    ],
)
def test_rfc_4514_2_4_escaping(value: str, escaped: str) -> None:
    assert cn(value) == escaped


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_no_value_can_pass_for_two(values: list[str]) -> None:
    name = tuple((("commonName", value),) for value in values)
    text = distinguished_name(name)
    assert text.isascii()
    assert text.isprintable()
    # Undo the escapes as RFC 4514 §2.4 says, splitting where a comma is not escaped.
    parts, current, at = [], bytearray(), 0
    while at < len(text):
        char = text[at]
        if char == "\\" and text[at + 1] in '"+,;<>\\ #':
            current += text[at + 1].encode()
            at += 2
        elif char == "\\":
            current += bytes.fromhex(text[at + 1 : at + 3])
            at += 3
        elif char == ",":
            parts.append(bytes(current))
            current.clear()
            at += 1
        else:
            current += char.encode()
            at += 1
    parts.append(bytes(current))
    assert parts == [b"CN=" + value.encode("utf-8", "replace") for value in reversed(values)]
