"""masking: RFC 6455 §5.3, at every length where the way of doing it changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.websockets import masked

from greenserve.websocket.masking import SHORT, unmask

_KEYS = [b"\x37\xfa\x21\x3d", bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\x80\0\0\0"]


@pytest.mark.parametrize("key", _KEYS)
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_5_3_every_short_length_and_those_around_the_change(
    key: bytes, kind: type[bytes | bytearray]
) -> None:
    for size in [*range(130), *range(SHORT - 5, SHORT + 6), 65535, 65536]:
        plain = (bytes(range(255, -1, -1)) * (size // 256 + 1))[:size]
        found = unmask(kind(masked(plain, key)), key)
        assert type(found) is bytes
        assert found == plain


@given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4))
@examples(100)
def test_5_3_masking_twice_is_nothing(data: bytes, key: bytes) -> None:
    assert unmask(unmask(data, key), key) == data
    assert unmask(data, key) == masked(data, key)


def test_5_3_leading_zeros_stay() -> None:
    for size in (1, 7, 2000):
        assert unmask(bytes(size), bytes(4)) == bytes(size)
        assert unmask(b"abcd" * size, b"abcd") == bytes(4 * size)
