"""SimpleQueue of a patched program: queue.SimpleQueue, between green threads and OS threads."""

from __future__ import annotations

import _thread
from queue import Empty

import pytest
from tests.support.times import MS

from greenserve_hub import sleep, spawn
from greenserve_hub.patching.locks.thread_queues import SimpleQueue


def test_first_in_first_out_and_waited_for():
    items: SimpleQueue = SimpleQueue()
    getting = [spawn(items.get) for _ in range(2)]
    sleep()
    items.put("a")
    items.put("b", False, 1)
    assert [green.wait() for green in getting] == ["a", "b"]
    items.put_nowait("c")
    assert (items.qsize(), items.empty()) == (1, False)
    assert items.get(False) == "c"
    assert items.empty()


def test_nothing_in_time():
    items: SimpleQueue = SimpleQueue()
    with pytest.raises(Empty):
        items.get(timeout=MS)
    with pytest.raises(Empty):
        items.get(block=False, timeout=-1)
    with pytest.raises(Empty):
        items.get_nowait()
    with pytest.raises(ValueError, match="non-negative"):
        items.get(timeout=-1)


def test_from_an_os_thread_to_a_green_one_and_back():
    there: SimpleQueue[int] = SimpleQueue()
    back: SimpleQueue[int] = SimpleQueue()

    def echo() -> None:
        for _ in range(50):
            back.put(there.get())

    _thread.start_new_thread(echo, ())
    for number in range(50):
        there.put(number)
        assert back.get() == number


def test_a_put_in_the_midst_of_a_put_or_a_get():
    class Item:
        def __del__(self) -> None:
            items.put("from a finalizer")

    items: SimpleQueue = SimpleQueue()
    items.put(Item())
    items.get()
    assert items.get() == "from a finalizer"
