"""However the network cuts a stream into pieces, the same comes out of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.server.http1.test_second_opinion import bodies, heads
from tests.support.examples import examples
from tests.support.protocols.heads import fed, is_well_formed, raw, read, split

from greenserve.errors import ProtocolError
from greenserve.http1 import ChunkedFraming, HeadLimits, LengthFraming, RequestHead, chunk

_CUTS = st.lists(st.integers(0, 300), max_size=12)
_TIGHT = HeadLimits(line=30, field_size=30, fields=3, head=90)


def _facts(head: RequestHead) -> dict[str, Any]:
    return {name: getattr(head, name) for name in RequestHead.__slots__}


def _outcome(pieces: list[bytes], limits: HeadLimits) -> Any:
    try:
        head, rest = read(*pieces, limits=limits)
    except ProtocolError:
        return "refused"
    except AssertionError:
        return "unfinished"
    return _facts(head), rest


@given(heads(), _CUTS, st.binary(max_size=20), st.sampled_from([_TIGHT, HeadLimits(8190, 8190, 100, 65536)]))
@examples(300)
def test_heads(data: bytes, cuts: list[int], after: bytes, limits: HeadLimits) -> None:
    # Which status a refusal has may differ: a slow client is refused at its first wrong byte, of a whole head the
    # worst error is told. That it is refused may not.
    whole = _outcome([data + after], limits)
    assert _outcome(split(data + after, cuts), limits) == whole
    assert isinstance(whole, str) or is_well_formed(data + after, whole[1])


@given(st.integers(0, 200))
@examples(60)
def test_two_pieces_of_a_long_head(cut: int) -> None:
    data = raw(
        "POST /a?b HTTP/1.1",
        "Transfer-Encoding: chunked",
        "Connection: x",
        "Connection: close",
        "Expect: 100-continue",
    )
    whole, rest = read(data + b"after")
    head, other = read(*split(data + b"after", [cut]))
    assert (_facts(head), other) == (_facts(whole), rest)


@given(bodies(), _CUTS, st.sampled_from([0, 5]), st.sampled_from([6, 8190]))
@examples(300)
def test_chunked_bodies(data: bytes, cuts: list[int], limit: int, trailer_limit: int) -> None:
    whole = fed(ChunkedFraming(limit, trailer_limit), [data])
    assert fed(ChunkedFraming(limit, trailer_limit), split(data, cuts)) == whole


@given(st.integers(0, 40), st.binary(max_size=60), _CUTS)
@examples(100)
def test_bodies_with_a_length(length: int, data: bytes, cuts: list[int]) -> None:
    if length:
        assert fed(LengthFraming(length), split(data, cuts)) == fed(LengthFraming(length), [data])


@given(st.lists(st.binary(min_size=1, max_size=50)), _CUTS)
@examples(100)
def test_what_chunk_writes_is_read_back(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(map(chunk, pieces)) + b"0\r\n\r\n"
    assert fed(ChunkedFraming(), split(data, cuts)) == (b"".join(pieces), b"")
