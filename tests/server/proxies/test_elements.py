"""proxies.elements: the grammar of Forwarded (RFC 7239 §4)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.proxies.elements import Element, parse_elements

MALFORMED = object()


def pairs(line: str) -> object:
    elements = parse_elements(line)
    if not all(element.well_formed for element in elements):
        assert elements == [Element(line, well_formed=False)]
        return MALFORMED
    return [dict(element._pairs) for element in elements]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        # §4's own examples.
        ('for="_gazonk"', [{"for": "_gazonk"}]),
        ('For="[2001:db8:cafe::17]:4711"', [{"for": "[2001:db8:cafe::17]:4711"}]),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}]),
        ("for=192.0.2.43, for=198.51.100.17", [{"for": "192.0.2.43"}, {"for": "198.51.100.17"}]),
        # §6.3, §7.1, §7.4
        ("for=_hidden, for=_SEVKISEK", [{"for": "_hidden"}, {"for": "_SEVKISEK"}]),
        ('for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown', [
            {"for": "192.0.2.43"}, {"for": "[2001:db8:cafe::17]"}, {"for": "unknown"},
        ]),
        ("for=192.0.2.43, for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com", [
            {"for": "192.0.2.43"},
            {"for": "198.51.100.17", "by": "203.0.113.60", "proto": "http", "host": "example.com"},
        ]),
    ],
)  # fmt: skip
def test_the_rfcs_own_examples(line, wanted):
    assert pairs(line) == wanted


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", []),
        (" , ,, ", []),
        (";;", []),
        (";for=a;,;", [{"for": "a"}]),
        ("for=a ; proto=b", [{"for": "a", "proto": "b"}]),
        ("\tfor=a\t,\t for=b ", [{"for": "a"}, {"for": "b"}]),
        (r'for="a\"b\\c\,d"', [{"for": r"a\"b\c,d".replace('\\"', '"')}]),
        ('host="a,b;for=c"', [{"host": "a,b;for=c"}]),
        ('for=""', [{"for": ""}]),
        ("FOR=a;Proto=B", [{"for": "a", "proto": "B"}]),
        ('host="\xe4"', [{"host": "\xe4"}]),
        ("secret=!#$%&'*+-.^_`|~", [{"secret": "!#$%&'*+-.^_`|~"}]),
    ],
)
def test_4_lists_pairs_and_quotes(line, wanted):
    assert pairs(line) == wanted


@pytest.mark.parametrize(
    "line",
    [
        *(
            "for",
            "for=",
            "=a",
            "for = a",
            "for=a b",
            "for=a for=b",
            "for=[::1]",
            "for=1.2.3.4:80",
            'for="',
            'for="a',
        ),
        *(
            'for="a""b"',
            'for="a"b',
            'for=a"b"',
            'for="\\',
            'for="a\\"',
            "for=a=b",
            "for='a b'",
            "for=\xe4",
            "f\xe4r=a",
        ),
        *(
            'for="\0"',
            'for="a\x7f"',
            "for=a;for=b",
            "for=a;FOR=a",
            "for=a;host=b;for=a",
            'for="a\\\x80',
            "for=a,\x0bfor=b",
        ),
    ],
)
def test_4_anything_else_is_malformed_as_a_whole(line):
    assert pairs(line) is MALFORMED


def test_the_text_of_an_element_is_as_it_was_sent():
    assert [one.text for one in parse_elements(' For="[::1]" ;proto=HTTP , for=b')] == [
        'For="[::1]" ;proto=HTTP',
        "for=b",
    ]


token = st.text("!#$%&'*+-.^_`|~019azAZ", min_size=1, max_size=8)
value = st.text(
    st.characters(max_codepoint=0xFF, exclude_characters="\x7f", categories=("L", "N", "P", "S", "Zs")),
    max_size=12,
)


def quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(st.dictionaries(token.map(str.lower), token | value, min_size=1, max_size=4), max_size=5))
def test_what_is_written_is_read(elements):
    line = ", ".join(";".join(f"{name}={quote(text)}" for name, text in one.items()) for one in elements)
    assert pairs(line) == elements


@given(st.text('for=";\\, a1[]:_\t\x80', max_size=60))
def test_any_text_is_read_or_malformed(line):
    pairs(line)


@pytest.mark.parametrize(
    "line",
    [
        *(
            " " * 65536 + "\0",
            "for=" + "a" * 65536 + "\0",
            'for="' + "\\a" * 32768,
            "a" * 65536,
            ";" * 65536 + "\0",
        ),
        *(
            " \t" * 32768 + "=",
            'for="' + " " * 65536,
            "," * 65536 + '"',
            "for=a," * 10922 + "\0",
            ";a=b" * 16384,
        ),
    ],
    ids=range(10),
)
def test_the_longest_field_costs_linear_time(line):
    began = time.process_time()
    parse_elements(line)
    # A second pass over each rest of 64 KiB would be two thousand million steps.
    assert time.process_time() - began < 2
