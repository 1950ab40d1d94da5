"""masking: RFC 6455 §5.3, at every length where the way of doing it changes."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.protocols.frames import masked
from websockets.speedups import apply_mask

from greenserve import core
from greenserve.websocket.framing import masking
from greenserve.websocket.framing.masking import SHORT_IN_PYTHON, in_c, in_python

assert in_c is not None, "websockets is a part of the extra `test`"
_WAYS = [in_python, apply_mask, *([] if core.core is None else [in_c])]
_KEYS = [b"\x37\xfa\x21\x3d", bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\x80\0\0\0"]


@pytest.mark.parametrize("unmask", _WAYS)
@pytest.mark.parametrize("key", _KEYS)
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_5_3_every_short_length_and_those_around_the_change(
    unmask: Any, key: bytes, kind: type[bytes | bytearray]
) -> None:
    for size in [*range(130), *range(SHORT_IN_PYTHON - 5, SHORT_IN_PYTHON + 6), 65535, 65536]:
        plain = (bytes(range(255, -1, -1)) * (size // 256 + 1))[:size]
        found = unmask(kind(masked(plain, key)), key)
        assert type(found) is bytes
        assert found == plain


@given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4))
@examples(100)
def test_5_3_masking_twice_is_nothing(data: bytes, key: bytes) -> None:
    for unmask in _WAYS:
        assert unmask(unmask(data, key), key) == data
        assert unmask(data, key) == masked(data, key)


@pytest.mark.parametrize("unmask", _WAYS)
def test_5_3_leading_zeros_stay(unmask: Any) -> None:
    for size in (1, 7, 2000):
        assert unmask(bytes(size), bytes(4)) == bytes(size)
        assert unmask(b"abcd" * size, b"abcd") == bytes(4 * size)


def test_the_core_does_it_else_the_extra_else_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (masking.in_c, masking.SHORT) == (masking.unmask, 0)
    assert (masking.in_c is apply_mask) == (core.core is None)
    try:
        monkeypatch.setattr(core, "core", None)
        importlib.reload(masking)
        assert (masking.in_c, masking.unmask, masking.SHORT) == (apply_mask, apply_mask, 0)
        monkeypatch.setitem(sys.modules, "websockets.speedups", None)
        importlib.reload(masking)
        assert (masking.in_c, masking.unmask, masking.SHORT) == (None, masking.in_python, SHORT_IN_PYTHON)
    finally:
        monkeypatch.undo()
        importlib.reload(masking)
