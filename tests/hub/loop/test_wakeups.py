from __future__ import annotations

import os
import select
import threading
from collections import deque
from typing import Any

import pytest

from greenserve_hub.loop.wakeups import Door


@pytest.fixture(params=["eventfd", "pipe"])
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("no eventfd here")
    made = Door()
    yield made
    made.close()


def readable(door: Door) -> bool:
    return bool(select.select([door.fd], [], [], 0)[0])


def taken_from(door: Door) -> list[Any]:
    taken: deque[Any] = deque()
    door.take(taken)
    return list(taken)


def test_put_makes_it_readable_and_take_empties_it(door):
    assert not readable(door)
    door.put(print, ("a",))
    door.put(print, ("b",))
    assert readable(door)
    assert taken_from(door) == [(print, ("a",)), (print, ("b",))]
    assert not readable(door)
    assert taken_from(door) == []


def test_more_puts_than_wake_ups_fit(door):
    for number in range(20000):  # a pipe takes some thousands
        door.put(print, (number,))
    taken = []
    while readable(door):
        taken.extend(args[0] for _, args in taken_from(door))
    assert taken == list(range(20000))


def test_calls_of_each_thread_stay_in_order(door):
    def visit(who: int) -> None:
        for number in range(200):
            door.put(print, (who, number))

    threads = [threading.Thread(target=visit, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [args for _, args in taken_from(door)]
    for who in range(4):
        assert [number for visitor, number in taken if visitor == who] == list(range(200))


def test_closed_twice_and_used_after_is_no_error(door):
    door.close()
    door.close()
    door.put(print, ())
    assert not door._calls


def test_reopened_it_begins_anew(door):
    door.users = 1
    door.put(print, ("the parent's",))
    door.reopen()
    assert not readable(door)
    assert door.users == 0
    door.put(print, ("new",))
    assert readable(door)
    assert taken_from(door) == [(print, ("new",))]
