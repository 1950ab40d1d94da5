"""Several green threads that wait for one descriptor, after allow_several(). One: see greenio and test_descriptors."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from greenserve_hub.errors import ConcurrentUseError, IOClosed
from greenserve_hub.greenthreads.greenthreads import GreenThread, sleep, spawn
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.descriptors import Descriptor
from greenserve_hub.loop.readiness import allow_several, wait_readable, wait_writable
from greenserve_hub.testing import wait_all_blocked


@pytest.fixture
def pipe() -> Iterator[tuple[Descriptor, int]]:
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    allow_several(True)
    descriptor = get_hub().open_descriptor(reads)
    yield descriptor, writes
    allow_several(False)
    descriptor.close()
    os.close(reads)
    os.close(writes)


def reader(descriptor: Descriptor, timeout: float | None = None) -> bytes:
    while True:
        wait_readable(descriptor, timeout)
        try:
            return os.read(descriptor.fd, 1)
        except BlockingIOError:
            pass


def start(descriptor: Descriptor, number: int) -> list[GreenThread[bytes]]:
    readers = [spawn(reader, descriptor) for _ in range(number)]
    wait_all_blocked()
    return readers


def test_each_gets_what_comes_in_the_order_of_their_waits(pipe: tuple[Descriptor, int]):
    readers = start(pipe[0], 3)
    os.write(pipe[1], b"abc")
    assert [one.wait() for one in readers] == [b"a", b"b", b"c"]


def test_one_that_is_killed_or_times_out_takes_nothing(pipe: tuple[Descriptor, int]):
    first, second, third = start(pipe[0], 3)
    first.kill()
    second.kill()
    late = spawn(reader, pipe[0], 0)
    with pytest.raises(TimeoutError):
        late.wait()
    os.write(pipe[1], b"a")
    assert third.wait() == b"a"
    assert pipe[0].reader is None


def test_all_are_told_of_the_close(pipe: tuple[Descriptor, int]):
    told = []

    def wait() -> None:
        try:
            wait_readable(pipe[0])
        except IOClosed:
            told.append(True)

    for _ in range(3):
        spawn(wait)
    wait_all_blocked()
    pipe[0].close()
    wait_all_blocked()
    assert told == [True] * 3


def test_writers_too():
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    while True:
        try:
            os.write(writes, b"." * 4096)
        except BlockingIOError:
            break
    descriptor = get_hub().open_descriptor(writes)
    allow_several(True)
    try:
        waiting = [spawn(wait_writable, descriptor) for _ in range(2)]
        wait_all_blocked()
        assert not any(one.dead for one in waiting)
        os.read(reads, 1 << 20)
        for one in waiting:
            one.wait()
    finally:
        allow_several(False)
        descriptor.close()
        os.close(reads)
        os.close(writes)


def test_a_second_one_is_an_error_again_when_it_is_turned_off(pipe: tuple[Descriptor, int]):
    (first,) = start(pipe[0], 1)
    allow_several(False)
    with pytest.raises(ConcurrentUseError):
        wait_readable(pipe[0])
    first.kill()
    sleep(0)
