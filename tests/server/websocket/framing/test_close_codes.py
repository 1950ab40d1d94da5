"""close_codes: RFC 6455 §7.4, and IANA's registry of close codes."""

from __future__ import annotations

import pytest

from greenserve.websocket import Close
from greenserve.websocket.framing.close_codes import CLOSE_CODES, may_be_in_a_frame, read_close
from greenserve.websocket.framing.events import Broken


def test_7_4_every_code_there_is() -> None:
    allowed = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    assert {code for code in range(1 << 16) if may_be_in_a_frame(code)} == allowed


def test_7_4_1_the_names() -> None:
    assert set(CLOSE_CODES) == {*range(1000, 1004), *range(1007, 1015)}
    assert CLOSE_CODES[1000] == "normal closure"
    assert CLOSE_CODES[1012] == "service restart"


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536])
def test_7_4_reserved_and_unknown_codes(code: int) -> None:
    assert not may_be_in_a_frame(code)


def test_5_5_1_what_a_close_frame_says() -> None:
    assert read_close(b"") == Close(1005, "")
    assert read_close(b"\x03\xe8") == Close(1000, "")
    assert read_close(b"\x0b\xb8" + "bye ☃".encode()) == Close(3000, "bye ☃")


@pytest.mark.parametrize(
    ("payload", "code"), [(b"\x03", 1002), (b"\0\0", 1002), (b"\x03\xed", 1002), (b"\x03\xe8\xff", 1007)]
)
def test_5_5_1_what_it_may_not_say(payload: bytes, code: int) -> None:
    with pytest.raises(Broken) as caught:
        read_close(payload)
    assert caught.value.failure.code == code
    assert "RFC 6455 §" in caught.value.failure.reason
