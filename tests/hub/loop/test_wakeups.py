from __future__ import annotations

import os
import select
import threading
from collections import deque
from typing import Any

import pytest

from greenserve_hub.loop.wakeups import Wakeup


@pytest.fixture(params=["eventfd", "pipe"])
def wakeup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("no eventfd here")
    made = Wakeup()
    yield made
    made.close()


def readable(wakeup: Wakeup) -> bool:
    return bool(select.select([wakeup.fd], [], [], 0)[0])


def taken_from(wakeup: Wakeup) -> list[Any]:
    taken: deque[Any] = deque()
    wakeup.take(taken)
    return list(taken)


def test_put_makes_it_readable_and_take_empties_it(wakeup):
    assert not readable(wakeup)
    wakeup.put(print, ("a",))
    wakeup.put(print, ("b",))
    assert readable(wakeup)
    assert taken_from(wakeup) == [(print, ("a",)), (print, ("b",))]
    assert not readable(wakeup)
    assert taken_from(wakeup) == []


def test_more_puts_than_wake_ups_fit(wakeup):
    for number in range(20000):  # a pipe takes some thousands
        wakeup.put(print, (number,))
    taken = []
    while readable(wakeup):
        taken.extend(args[0] for _, args in taken_from(wakeup))
    assert taken == list(range(20000))


def test_calls_of_each_thread_stay_in_order(wakeup):
    def visit(who: int) -> None:
        for number in range(200):
            wakeup.put(print, (who, number))

    threads = [threading.Thread(target=visit, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [args for _, args in taken_from(wakeup)]
    for who in range(4):
        assert [number for visitor, number in taken if visitor == who] == list(range(200))


def test_closed_twice_and_used_after_is_no_error(wakeup):
    wakeup.close()
    wakeup.close()
    wakeup.put(print, ())
    assert not wakeup._calls


def test_reopened_it_begins_anew(wakeup):
    wakeup.users = 1
    wakeup.put(print, ("the parent's",))
    wakeup.reopen()
    assert not readable(wakeup)
    assert wakeup.users == 0
    wakeup.put(print, ("new",))
    assert readable(wakeup)
    assert taken_from(wakeup) == [(print, ("new",))]
