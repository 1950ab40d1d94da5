"""outbox: frames go out in their order and whole, however little a stream takes, and all is accounted for."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.servers.running import own_hub

from greenserve.errors import PeerGone
from greenserve.net.sockets.min_rates import Pace
from greenserve.net.sockets.outbox import Outbox
from greenserve.net.sockets.send_budget import PIECE, SendBudget
from greenserve_hub.deadlines import NEVER
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.parking import Waiter

_PONG = b"\x8a\x00"


class _Fussy:
    """A stream that takes as much as it likes; as TLS, what it has encrypted it must be offered again."""

    def __init__(self, rng: random.Random, encrypts: int) -> None:
        self.taken = bytearray()
        self.rng = rng
        self.encrypts = encrypts
        self.encrypted = b""

    def untaken(self) -> int:
        return 0

    def send_now(self, data: Any) -> int:
        data = bytes(data)
        assert data[: len(self.encrypted)] == self.encrypted, "TLS can't take back what it has encrypted"
        assert len(data) >= len(self.encrypted)
        size = self.rng.choice([0, 1, 2, 5, 1000, 40_000, len(data), len(data)])
        if size < len(self.encrypted):
            return 0
        size = min(size, len(data))
        self.taken += data[:size]
        self.encrypted = data[size : size + self.encrypts]
        return size


def _outbox(stream: Any, unsent: SendBudget) -> Outbox:
    return Outbox(stream, Pace(NEVER, NEVER, NEVER), unsent, lambda: None)


@given(
    seed=st.integers(0, 1 << 30),
    encrypts=st.sampled_from([0, 3, 16_384]),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.sampled_from([2, 3, 100, 10_000, 32_768, 50_000])),
            st.tuples(st.just("wait"), st.sampled_from([2, 500, 40_000])),
            st.tuples(st.just("pong"), st.just(0)),
            st.tuples(st.just("flush"), st.just(0)),
        ),
        max_size=60,
    ),
)
def test_all_goes_out_whole_and_in_order(seed: int, encrypts: int, steps: list[tuple[str, int]]) -> None:
    with own_hub():
        stream = _Fussy(random.Random(seed), encrypts)
        unsent = SendBudget(get_hub(), 0)
        outbox = _outbox(stream, unsent)
        frames: list[bytes] = []
        waiters: list[tuple[int, Waiter]] = []

        def put(size: int, waiter: Waiter | None = None) -> None:
            frame = len(frames).to_bytes(2) * (size // 2) + b"." * (size % 2)
            frames.append(frame)
            outbox.put(frame, waiter)

        stream.encrypted = bytes(2)[: min(2, encrypts)]  # of the first, whose beginning was offered already
        put(5000)
        for what, size in steps:
            if what == "put":
                put(size)
            elif what == "wait":
                waiters.append((len(frames), Waiter(get_hub(), "test")))
                put(size, waiters[-1][1])
            elif what == "pong":
                outbox.pong = _PONG
            else:
                outbox.flush()
        while not outbox.flush():
            assert outbox.bytes
        taken = bytes(stream.taken)
        for i, frame in enumerate(frames):
            while taken.startswith(_PONG):
                taken = taken[2:]
            assert taken.startswith(frame), i
            taken = taken[len(frame) :]
        assert not taken.replace(_PONG, b"")
        assert (outbox.bytes, outbox.behind, unsent.bytes) == (0, 0, 0)
        assert all(waiter.woken and waiter.value is True for _, waiter in waiters)


class _Scripted:
    """A stream that takes as told, and notes what it was offered."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)
        self.offered: list[bytes] = []
        self.kinds: list[type] = []

    def untaken(self) -> int:
        return 0

    def send_now(self, data: Any) -> int:
        self.offered.append(bytes(data))
        self.kinds.append(type(data))
        size = self.sizes.pop(0) if self.sizes else len(data)
        if size < 0:
            raise PeerGone("gone")
        return size


def test_small_frames_go_out_together() -> None:
    with own_hub():
        stream = _Scripted()
        outbox = _outbox(stream, SendBudget(get_hub(), 0))
        small = [b"%05d" % i for i in range(7000)]
        for frame in small:
            outbox.put(frame)
        assert outbox.flush()
        assert b"".join(stream.offered) == b"".join(small)
        assert len(stream.offered) == 2


def test_a_large_frame_is_not_copied() -> None:
    with own_hub():
        stream = _Scripted(0)
        unsent = SendBudget(get_hub(), 0)
        outbox = _outbox(stream, unsent)
        large = bytes(1 << 20)
        outbox.put(memoryview(large)[5:])
        outbox.put(b"small")
        assert not outbox.flush()
        assert stream.kinds == [memoryview]


def test_a_pong_passes_what_the_stream_has_not_seen() -> None:
    with own_hub():
        stream = _Scripted(3, 30_000)
        outbox = _outbox(stream, SendBudget(get_hub(), 0))
        outbox.put(b"first")
        outbox.put(bytes(30_000))
        outbox.put(bytes(40_000))
        outbox.pong = b"old"
        outbox.pong = b"pong"
        assert not outbox.flush()
        assert not outbox.flush()
        assert outbox.flush()
        assert [len(data) for data in stream.offered] == [30_005, 30_002, 2, 4, 40_000]
        assert stream.offered[3] == b"pong"


def test_what_waits_behind_the_first_is_counted_with_what_it_costs() -> None:
    with own_hub():
        outbox = _outbox(_Scripted(60), SendBudget(get_hub(), 0))
        outbox.put(bytes(50))
        assert (outbox.bytes, outbox.behind) == (50, 0)
        outbox.put(bytes(20))
        outbox.put(bytes(30), Waiter(get_hub(), "test"))
        outbox.put(bytes(40))
        assert (outbox.bytes, outbox.behind) == (140, 60 + 2 * PIECE)
        outbox.flush()
        assert (outbox.bytes, outbox.behind) == (80, 40 + PIECE)


def test_what_is_dropped_is_held_no_more_and_who_waits_hears_it() -> None:
    with own_hub():
        unsent = SendBudget(get_hub(), 0)
        outbox = _outbox(_Scripted(), unsent)
        waiter = Waiter(get_hub(), "test")
        outbox.put(b"12345")
        outbox.put(b"123", waiter)
        assert outbox.drop() == 8
        assert unsent.bytes == 0
        assert (waiter.woken, waiter.value) == (True, False)
        assert outbox.drop() == 0
