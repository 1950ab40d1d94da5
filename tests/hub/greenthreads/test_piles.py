from __future__ import annotations

import pytest

from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn
from greenserve_hub.greenthreads.piles import GreenPile
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.timeouts import Timeout


def fail() -> None:
    raise ValueError("failed")


def double(number: int) -> int:
    return number * 2


def test_pile_gives_the_results_in_the_order_of_the_spawns(clock):
    pile = GreenPile()
    for seconds in (3, 1, 2):
        pile.spawn(lambda seconds: sleep(seconds) or seconds, seconds)
    assert list(pile) == [3, 1, 2]
    assert clock() == 1003


def test_an_empty_pile_has_no_results():
    assert list(GreenPile()) == []
    with pytest.raises(StopIteration):
        GreenPile().next()


def test_pile_goes_on_after_an_exception_and_after_its_end(errors):
    pile = GreenPile(1)
    pile.spawn(double, 1)
    pile.spawn(fail)
    pile.spawn(double, 2)
    assert pile.next() == 2
    with pytest.raises(ValueError, match="failed"):
        next(pile)
    assert list(pile) == [4]
    pile.spawn(double, 3)
    assert list(pile) == [6]
    errors.clear()


def test_piles_may_share_a_pool():
    pool = GreenPool(2)
    piles = [GreenPile(pool), GreenPile(pool)]
    for number in range(10):
        piles[number % 2].spawn(double, number)
    assert [list(pile) for pile in piles] == [[0, 4, 8, 12, 16], [2, 6, 10, 14, 18]]


def test_a_spawn_that_times_out_does_not_break_the_sequence(clock):
    pile = GreenPile(1)
    pile.spawn(lambda: sleep(5) or "first")
    with pytest.raises(Timeout), Timeout(1):
        pile.spawn(double, 1)
    pile.spawn(double, 2)
    assert list(pile) == ["first", 4]


def test_who_takes_results_waits_for_a_spawn_that_is_under_way(clock):
    pile = GreenPile(1)
    pile.spawn(lambda: sleep(1) or 1)
    spawner = spawn(pile.spawn, double, 1)
    sleep()
    taker = spawn(list, pile)
    spawner.wait()
    assert taker.wait() == [1, 2]


def test_who_waits_for_a_spawn_that_fails_goes_on(clock):
    pool = GreenPool(1)
    pool.spawn_n(sleep, 10)
    pile = GreenPile(pool)
    spawner = spawn(pile.spawn, double, 1)
    sleep()
    taker = spawn(list, pile)
    sleep()
    kill(spawner)
    assert taker.wait() == []
    pool.waitall()


def test_a_taker_that_times_out_loses_no_result(clock):
    pile = GreenPile()
    pile.spawn(lambda: sleep(5) or 1)
    pile.spawn(double, 1)
    with pytest.raises(Timeout), Timeout(1):
        pile.next()
    assert list(pile) == [1, 2]
