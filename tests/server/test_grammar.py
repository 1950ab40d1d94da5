"""The parts of RFC 9110's grammar that the parsers share."""

from __future__ import annotations

import re

from greenserve.grammar import QUOTED_TEXT, TOKEN, is_token, unescape


def test_5_6_2_tokens() -> None:
    assert is_token("soap")
    assert is_token("!#$%&'*+-.^_`|~09AZaz")
    for bad in ("", "a b", "a\n", "a,b", "é", "a\x7f", 'a"', "(a)"):
        assert not is_token(bad), bad


def test_5_6_2_the_same_in_bytes() -> None:
    in_bytes = re.compile(TOKEN.encode())
    for code in range(256):
        assert bool(in_bytes.fullmatch(bytes([code]))) is is_token(chr(code))


def test_5_6_4_quoted_strings() -> None:
    content = re.compile(QUOTED_TEXT)
    for good in ("", "a b\t", r"\"", r"\\", "\xe9", "#[]~"):
        assert content.fullmatch(good), good
    for bad in ('"', "\\", "\r", "\n", "\x7f", "\x00", "\\\n", "\u20ac"):
        assert not content.fullmatch(bad), bad


def test_5_6_4_backslashes() -> None:
    assert unescape(r"a\"b\\c\d") == r'a"b\cd'
