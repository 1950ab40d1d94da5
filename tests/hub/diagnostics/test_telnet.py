"""telnet: lines out of what nc, socat and telnet send, however it is split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve_hub.diagnostics.telnet import LONGEST_LINE, Key, LineReader

pytestmark = pytest.mark.no_hub

IAC, WILL, WONT, DO, DONT, SB, SE = 255, 251, 252, 253, 254, 250, 240


def _read(*pieces: bytes) -> tuple[list[str | Key], bytes]:
    reader = LineReader()
    answer = b"".join(reader.feed(piece) for piece in pieces)
    return list(reader.lines), answer


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\0b\r\0", ["a", "b"]),
        (b"a\rb\r", ["a", "b"]),
        (b"\n\n\r\n\r\r", ["", "", "", "", ""]),
        (b"unfinished", []),
        ("h\u00e9\n".encode(), ["h\u00e9"]),
        (b"\xc3\n", ["\ufffd"]),
        (b"a\x04", [Key.END]),
        (b"a\x03b\n", [Key.INTERRUPT, "b"]),
    ],
)
def test_lines(data: bytes, lines: list[str | Key]) -> None:
    assert _read(data) == (lines, b"")


@pytest.mark.parametrize(
    ("command", "lines", "answer"),
    [
        ([IAC, WILL, 31], [], [IAC, DONT, 31]),
        ([IAC, DO, 1], [], [IAC, WONT, 1]),
        ([IAC, WONT, 1], [], []),
        ([IAC, DONT, 1], [], []),
        ([IAC, SB, 31, 0, 80, IAC, SE], [], []),
        ([IAC, SB, 31, IAC, IAC, SE, IAC, SE], [], []),
        ([IAC, 241], [], []),
        ([IAC, IAC], [], []),
        ([IAC, 244, IAC, DO, 6], [Key.INTERRUPT], [IAC, WONT, 6]),  # Ctrl-C, which waits for the timing mark
        ([IAC, 236], [Key.END], []),
    ],
)
def test_commands_are_taken_out_and_options_refused(
    command: list[int], lines: list[str | Key], answer: list[int]
) -> None:
    found, answered = _read(b"1 + " + bytes(command) + b"2\n")
    # A key throws away what stood before it.
    assert found == [*lines, "2" if lines else "1 + 2"]
    assert answered == bytes(answer)


def test_a_line_without_end_is_the_end() -> None:
    assert _read(b"x" * LONGEST_LINE) == ([], b"")
    assert _read(b"x" * LONGEST_LINE + b"x")[0] == [Key.END]


@given(
    st.lists(
        st.sampled_from([b"a", b"\r", b"\n", b"\0", b"\xff", b"\xfa", b"\xf0", b"\xfb", b"\xf4", b"\x04"])
    )
)
def test_every_split_gives_the_same(pieces: list[bytes]) -> None:
    assert _read(*pieces) == _read(b"".join(pieces))
