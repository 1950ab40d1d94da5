"""Takes the mask off a frame's payload (RFC 6455 §5.3): in C where there is some, else in Python.

The C is the compiled core's; without it that of the websockets library, if the extra `speedups` is installed. In Python
a short payload is one big integer, xor-ed with the key repeated to its length; a long one is four interleaved streams,
each of which has a table for its byte of the key, so that `translate` does the work. Measured in µs (CPython 3.11) as
integer, tables, that library's C: 128 bytes 0.5, 1.5, 0.1; 1 KiB 2.5, 2.3, 0.15; 64 KiB 176, 52, 1.5; 1 MiB 3,000,
1,300, 35.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from greenserve.core import core

_Unmask: TypeAlias = Callable[[bytes | bytearray, bytes], bytes]

in_c: _Unmask | None
if core is not None:
    in_c = core.unmask
else:
    try:
        from websockets.speedups import apply_mask as in_c
    except ImportError:
        in_c = None

SHORT_IN_PYTHON: Final = 1024  # bytes; from here on the tables are faster
_TABLES: Final = [bytes(key ^ byte for byte in range(256)) for key in range(256)]
_number: Final = int.from_bytes


def in_python(payload: bytes | bytearray, key: bytes) -> bytes:
    """Return `payload` without the mask of `key`, 4 bytes; a long bytearray is changed in place. Also masks."""
    length = len(payload)
    if length < SHORT_IN_PYTHON:
        # The same number of bytes on both sides, as the first byte of each is the highest.
        return (_number(payload, "big") ^ _number((key * (length // 4 + 1))[:length], "big")).to_bytes(
            length, "big"
        )
    plain = payload if type(payload) is bytearray else bytearray(payload)
    for place in range(4):
        plain[place::4] = plain[place::4].translate(_TABLES[key[place]])
    return bytes(plain)


unmask: Final = in_python if in_c is None else in_c
# Bytes: below, the reader has the big integer in place of a call.
SHORT: Final = SHORT_IN_PYTHON if in_c is None else 0
