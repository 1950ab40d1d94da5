"""compression: which offer is taken, in the order of RFC 7692 §5 and §7.1."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples

from greenserve.websocket import Compression, HandshakeError
from greenserve.websocket.handshake.offers import parse_offers

_NAME = "permessage-deflate"
_FULL = Compression(window_bits=15)


def _answer(offers: str, compression: Compression = _FULL) -> str | None:
    agreed = compression.choose(parse_offers(offers))
    return agreed[1] if agreed else None


class TestOffers:
    """RFC 7692 §5.1."""

    @pytest.mark.parametrize("offers", ["", "x-webkit-deflate-frame", "permessage-bzip2; a=b, foo", ",,"])
    def test_5_1_none_of_it(self, offers: str) -> None:
        assert _answer(offers) is None

    @pytest.mark.parametrize(
        "offers", [_NAME, f"foo, {_NAME}", f"foo;bar={_NAME} ,{_NAME.upper()} , x", f",{_NAME},"]
    )
    def test_5_1_the_plain_one(self, offers: str) -> None:
        assert _answer(offers) == _NAME

    def test_5_1_the_first_that_is_acceptable(self) -> None:
        for bad in (
            "a",
            "server_max_window_bits=8",
            "client_max_window_bits=abc",
            "client_no_context_takeover=1",
        ):
            offers = f"{_NAME}; {bad}, {_NAME}; server_max_window_bits=10, {_NAME}"
            assert _answer(offers) == f"{_NAME}; server_max_window_bits=10"
        assert _answer(f"{_NAME}; server_max_window_bits=9, {_NAME}") == f"{_NAME}; server_max_window_bits=9"

    @pytest.mark.parametrize(
        "parameters",
        [
            "unknown",
            "unknown=1",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            'server_no_context_takeover="x"',
            "server_max_window_bits",
            "server_max_window_bits=8",
            "server_max_window_bits=16",
            "server_max_window_bits=0",
            "server_max_window_bits=-9",
            "server_max_window_bits=09",
            "server_max_window_bits=+9",
            "server_max_window_bits=9_0",
            "server_max_window_bits=abc",
            "server_max_window_bits=1000000000000000000000",
            "client_max_window_bits=8",
            "client_max_window_bits=16",
            "client_max_window_bits=abc",
            "client_max_window_bits=015",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "client_max_window_bits; client_max_window_bits",
            "client_max_window_bits=9; client_max_window_bits=9",
            "server_max_window_bits=10; server_max_window_bits=11",
            "server_max_window_bits=10; unknown",
        ],
    )
    def test_7_1_what_makes_an_offer_unacceptable(self, parameters: str) -> None:
        assert _answer(f"{_NAME}; {parameters}") is None
        assert _answer(f"{_NAME}; {parameters}, {_NAME}") == _NAME

    def test_7_1_a_malformed_field_is_no_handshake(self) -> None:
        with pytest.raises(HandshakeError) as caught:
            Compression().choose(parse_offers(f"{_NAME}; ="))
        assert caught.value.status == 400


class TestContextTakeover:
    """RFC 7692 §7.1.1."""

    @pytest.mark.parametrize("flag", ["server_no_context_takeover", "client_no_context_takeover"])
    def test_7_1_1_what_the_client_asks_for(self, flag: str) -> None:
        agreed = _FULL.choose(parse_offers(f"{_NAME}; {flag}"))
        assert agreed is not None
        deflate, answer = agreed
        assert answer == f"{_NAME}; {flag}"
        assert deflate.server_no_context_takeover == flag.startswith("server")
        assert deflate.client_no_context_takeover == flag.startswith("client")

    def test_7_1_1_what_we_ask_for(self) -> None:
        agreed = Compression(15, context_takeover=False).choose(parse_offers(_NAME))
        assert agreed is not None
        deflate, answer = agreed
        assert answer == f"{_NAME}; server_no_context_takeover; client_no_context_takeover"
        assert deflate.server_no_context_takeover
        assert deflate.client_no_context_takeover


class TestWindows:
    """RFC 7692 §7.1.2."""

    @pytest.mark.parametrize("bits", range(9, 16))
    def test_7_1_2_1_the_servers(self, bits: int) -> None:
        for ours in range(9, 16):
            agreed = Compression(ours).choose(parse_offers(f"{_NAME}; server_max_window_bits={bits}"))
            assert agreed is not None
            deflate, answer = agreed
            assert answer == f"{_NAME}; server_max_window_bits={min(bits, ours)}"
            assert deflate.server_max_window_bits == min(bits, ours)

    def test_7_1_2_1_ours_may_be_smaller_without_a_word(self) -> None:
        agreed = Compression(10).choose(parse_offers(_NAME))
        assert agreed is not None
        assert agreed[1] == _NAME
        assert agreed[0].server_max_window_bits == 10

    @pytest.mark.parametrize("bits", range(9, 16))
    def test_7_1_2_2_the_clients(self, bits: int) -> None:
        for ours in range(9, 16):
            agreed = Compression(ours).choose(parse_offers(f"{_NAME}; client_max_window_bits={bits}"))
            assert agreed is not None
            deflate, answer = agreed
            assert answer == f"{_NAME}; client_max_window_bits={min(bits, ours)}"
            assert deflate.client_max_window_bits == min(bits, ours)

    def test_7_1_2_2_what_browsers_send(self) -> None:
        assert _answer(f"{_NAME}; client_max_window_bits") == f"{_NAME}; client_max_window_bits=15"
        assert (
            _answer(f"{_NAME}; client_max_window_bits", Compression())
            == f"{_NAME}; client_max_window_bits=12"
        )

    def test_7_1_2_2_a_client_that_does_not_know_the_parameter_uses_15(self) -> None:
        agreed = Compression(9).choose(parse_offers(_NAME))
        assert agreed is not None
        assert agreed[0].client_max_window_bits == 15

    def test_7_1_all_of_it(self) -> None:
        offer = (
            f'{_NAME}; client_no_context_takeover;server_max_window_bits="11" ; CLIENT_max_window_bits = 13;'
            "server_no_context_takeover"
        )
        agreed = _FULL.choose(parse_offers(offer))
        assert agreed is not None
        deflate, answer = agreed
        assert answer == (
            f"{_NAME}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; "
            "client_max_window_bits=13"
        )
        assert (deflate.server_max_window_bits, deflate.client_max_window_bits) == (11, 13)


class TestSettings:
    def test_modest_by_default(self) -> None:
        assert Compression() == Compression(window_bits=12, memory_level=5, context_takeover=True)

    @pytest.mark.parametrize("bits", [8, 16, 0])
    def test_windows_that_zlib_has_not(self, bits: int) -> None:
        with pytest.raises(ValueError, match="9 to 15 bits"):
            Compression(window_bits=bits)

    @pytest.mark.parametrize("level", [0, 10])
    def test_levels_that_zlib_has_not(self, level: int) -> None:
        with pytest.raises(ValueError, match="levels 1 to 9"):
            Compression(memory_level=level)

    def test_the_memory_level_gets_to_zlib(self) -> None:
        data = bytes(number * number % 251 for number in range(20_000))
        sizes = set()
        for level in (1, 9):
            agreed = Compression(15, level).choose(parse_offers(_NAME))
            assert agreed is not None
            sizes.add(len(agreed[0].compress(data)))
        assert len(sizes) == 2


_WORDS = st.sampled_from(
    [
        *(
            _NAME,
            "; ",
            ";",
            ",",
            ", ",
            "=",
            '"',
            "\\",
            "client_max_window_bits",
            "server_max_window_bits",
            "15",
            "8",
        ),
        *("abc", "server_no_context_takeover", "client_no_context_takeover", " ", "\t", "é"),
    ]
)


@given(st.lists(_WORDS, max_size=12).map("".join))
@examples(300)
def test_whatever_is_answered_was_offered(offers: str) -> None:
    with suppress(HandshakeError):
        for parameter in (_answer(offers, Compression()) or "").split("; "):
            assert parameter.partition("=")[0] in offers
