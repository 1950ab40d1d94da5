"""Makes lines of text from the bytes that nc, socat and telnet send. Sans-IO.

Knows no socket and nothing of Python's console. Called by diagnostics/backdoors.py.

A line ends with LF, CR LF, CR NUL (telnet's form of CR, RFC 854) or a bare CR (a terminal in raw mode). Telnet commands
are removed, and its options refused. A command begins with byte 255, which does not occur in UTF-8. The lines do not
depend on how the bytes are split.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

LONGEST_LINE = 1 << 20  # bytes; a longer line ends the session

_IAC, _SB, _SE = 255, 250, 240
_REFUSAL = {251: 254, 252: 254, 253: 252, 254: 252}  # WILL and WON'T: DON'T; DO and DON'T: WON'T
_ASKS = frozenset(
    {251, 253}
)  # WILL, DO: must be answered. An answer to a refusal would start an endless exchange


class Key(Enum):
    """A key that a client sends without a line."""

    END = "Ctrl-D"
    INTERRUPT = "Ctrl-C"


_COMMANDS = {236: Key.END, 244: Key.INTERRUPT}  # EOF (RFC 1184), Interrupt Process
_KEYS = {4: Key.END, 3: Key.INTERRUPT}


class LineReader:
    """`feed` takes bytes in; `lines` holds the lines, without their ends."""

    def __init__(self) -> None:
        """Nothing was received yet."""
        self.lines: deque[str | Key] = deque()
        self._line = bytearray()
        self._after_cr = False
        self._command: list[int] | None = None  # the bytes of a command after its IAC

    def feed(self, data: bytes) -> bytes:
        """Take in `data`, and return the answer for the client's telnet."""
        answer = bytearray()
        for byte in data:
            if self._command is not None:
                answer += self._take_command(self._command, byte)
            elif byte == _IAC:
                self._command = []
            else:
                self._take(byte)
        return bytes(answer)

    def _take(self, byte: int) -> None:
        was_after_cr, self._after_cr = self._after_cr, byte == 13
        if was_after_cr and byte in b"\n\0":
            return
        if byte in b"\r\n":
            self.lines.append(self._line.decode("utf-8", "replace"))
            self._line.clear()
        elif byte in _KEYS:
            self._press(_KEYS[byte])
        else:
            self._line.append(byte)
            if len(self._line) > LONGEST_LINE:
                self._press(Key.END)

    def _press(self, key: Key) -> None:
        self._line.clear()
        self.lines.append(key)

    def _take_command(self, command: list[int], byte: int) -> bytes:
        command.append(byte)
        first = command[0]
        if first == _SB:
            if command[-2:] == [_IAC, _SE]:
                self._command = None
            else:
                del command[1:-1]  # only its last two bytes matter
            return b""
        if first in _REFUSAL and len(command) == 1:
            return b""  # the option follows
        self._command = None
        if first in _COMMANDS:
            self._press(_COMMANDS[first])
        return bytes((_IAC, _REFUSAL[first], byte)) if first in _ASKS else b""
