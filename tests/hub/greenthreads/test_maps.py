from __future__ import annotations

import gc
import itertools
import tracemalloc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve_hub.greenthreads.greenthreads import getcurrent, kill, sleep, spawn
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import wait_all_blocked


def double(number: int) -> int:
    return number * 2


def slowly(number: int) -> int:
    sleep()
    return number * 2


def outcomes(results) -> list[object]:
    """Take all; an exception stands for itself."""
    taken: list[object] = []
    while True:
        try:
            taken.append(next(results))
        except StopIteration:
            return taken
        except Exception as error:
            taken.append(str(error))


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("fn", [double, slowly])
def test_results_come_in_the_order_of_the_input(size, fn):
    pool = GreenPool(size)
    assert list(pool.imap(fn, range(100))) == [number * 2 for number in range(100)]
    pool.waitall()
    assert (pool.running(), pool.free(), pool.waiting()) == (0, size, 0)


def test_results_wait_for_slower_ones_before_them(clock):
    pool = GreenPool()
    assert list(pool.imap(lambda seconds: sleep(seconds) or seconds, [3, 1, 2])) == [3, 1, 2]
    assert clock() == 1003


def test_imap_takes_several_iterables_as_map_does():
    assert list(GreenPool().imap(lambda *args: args, [1, 2, 3], "ab")) == [(1, "a"), (2, "b")]


def test_starmap_takes_arguments():
    assert list(GreenPool().starmap(pow, [(2, 3), [3, 2], iter((2, 5))])) == [8, 9, 32]


def test_no_function_gives_tuples():
    assert list(GreenPool().imap(None, [1, 2], "ab")) == [(1, "a"), (2, "b")]
    assert list(GreenPool().starmap(None, [(1,), (2, 3)])) == [(1,), (2, 3)]


def test_no_input_no_results():
    results = GreenPool().imap(double, [])
    assert iter(results) is results
    for _ in range(2):
        with pytest.raises(StopIteration):
            results.next()


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("pause", [False, True])
def test_an_exception_is_raised_at_its_place_and_iteration_goes_on(size, pause):
    def work(number: int) -> int:
        if pause:
            sleep()
        if number % 3 == 0:
            raise ValueError(f"no {number}")
        return number

    results = GreenPool(size).imap(work, range(7))
    assert outcomes(results) == ["no 0", 1, 2, "no 3", 4, 5, "no 6"]


def test_an_exception_of_the_input_is_its_last_result():
    def inputs():
        yield 1
        yield 2
        raise ValueError("no more")

    results = GreenPool().imap(slowly, inputs())
    assert outcomes(results) == [2, 4, "no more"]


def test_an_input_that_failed_is_not_asked_again():
    class Inputs:
        def __iter__(self):
            return self

        def __next__(self):
            raise ValueError("no")

    assert outcomes(GreenPool().imap(double, Inputs())) == ["no"]


def test_an_item_that_cannot_be_unpacked_fails_alone():
    results = GreenPool().starmap(double, [(1,), 2, (3,)])
    taken = outcomes(results)
    assert (taken[0], taken[2]) == (2, 6)
    assert "must be an iterable" in str(taken[1])


def test_begins_before_anybody_takes_results():
    begun = []
    GreenPool(2).imap(begun.append, range(2))
    sleep()
    assert begun == [0, 1]


# Side by side ---------------------------------------------------------------------------------------------


def test_as_many_run_at_once_as_there_are_slots(clock):
    pool, most = GreenPool(50), []

    def work(_: int) -> None:
        most.append(pool.running())
        assert pool.running() <= 50
        sleep(1)

    assert len(list(pool.imap(work, range(500)))) == 500
    assert max(most) == 50
    assert clock() == 1000 + 500 / 50


def test_a_thousand_waiting_calls_are_under_way_within_a_few_turns():
    pool, begun = GreenPool(1000), []
    results = pool.imap(lambda number: begun.append(number) or sleep(10), range(1000))
    for _ in range(15):
        sleep()
    assert len(begun) == 1000
    for member in pool.members():
        kill(member)
    del results


def test_calls_that_never_wait_need_few_workers():
    pool = GreenPool(1000)
    workers = set(pool.imap(lambda _: getcurrent(), range(5000)))
    assert len(workers) <= 3


def test_others_who_wait_for_a_slot_get_the_next_one(clock):
    pool, order = GreenPool(3), []
    for _ in range(2):
        pool.spawn_n(sleep, 100)
    taker = spawn(list, pool.imap(lambda number: sleep(1) or order.append(number), range(6)))
    sleep(0.5)
    pool.spawn(order.append, "other").wait()
    assert order == [0, 1, "other"]  # the next item was in line before it
    taker.wait()
    assert order == [0, 1, "other", 2, 3, 4, 5]
    pool.waitall()


def test_slots_that_others_give_back_are_used_at_once(clock):
    pool = GreenPool(3)
    for _ in range(2):
        pool.spawn_n(sleep, 1)
    taker = spawn(list, pool.imap(sleep, [100] * 3))
    sleep(0.5)
    assert (pool.running(), pool.waiting()) == (3, 1)
    taker.wait()
    assert clock() == 1000 + 1 + 100


def test_calls_that_never_wait_keep_the_slot_of_a_busy_pool_unless_others_want_it():
    pool, gate = GreenPool(100), Event()
    for _ in range(99):
        pool.spawn_n(gate.wait)
    workers = set(pool.imap(lambda _: getcurrent(), range(1000)))
    assert len(workers) <= 30  # not one for each call
    gate.send()
    pool.waitall()


def test_after_a_shrink_it_gives_up_its_slots_for_those_of_others(clock):
    pool = GreenPool(4)
    for _ in range(3):
        pool.spawn_n(sleep, 10)
    taker = spawn(list, pool.imap(sleep, [1] * 8))
    sleep(0.5)
    assert pool.running() == 4
    pool.resize(2)
    sleep(1)
    assert (pool.running(), pool.free()) == (3, -1)
    taker.wait()
    assert clock() == 1000 + 10 + 4  # the other seven, two at a time


def test_after_a_shrink_fewer_run(clock):
    pool, most = GreenPool(4), []

    def work(number: int) -> None:
        if number >= 8:
            most.append(pool.running())
        sleep(1)

    results = pool.imap(work, range(20))
    next(results)
    pool.resize(2)
    list(results)
    assert max(most) == 2


def test_a_pool_without_slots_lets_it_wait_for_some():
    pool = GreenPool(0)
    taker = spawn(list, pool.imap(double, range(3)))
    sleep()
    assert pool.waiting() == 1
    pool.resize(1)
    assert taker.wait() == [0, 2, 4]


def test_two_may_take_from_one_map():
    results = GreenPool(3).imap(slowly, range(100))
    takers = [spawn(list, results) for _ in range(2)]
    taken = [taker.wait() for taker in takers]
    assert sorted(taken[0] + taken[1]) == [number * 2 for number in range(100)]
    assert all(part == sorted(part) for part in taken)


def test_an_input_that_waits_is_entered_by_one_at_a_time():
    def inputs():
        for number in range(50):
            sleep()
            yield number

    assert list(GreenPool(10).imap(slowly, inputs())) == [number * 2 for number in range(50)]


# Bounds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", [double, slowly])
def test_never_further_ahead_than_the_pool_has_slots(fn):
    pulled, ahead = [], []

    def inputs():
        for number in itertools.count():
            pulled.append(number)
            yield number

    results = GreenPool(5).imap(fn, inputs())
    wait_all_blocked()
    for taken in range(50):
        assert next(results) == taken * 2
        wait_all_blocked()  # a slow taker
        ahead.append(len(pulled) - (taken + 1))
    assert max(ahead) == 5


def test_a_slow_result_at_the_head_holds_back_no_more_than_the_bound(clock):
    pool, begun = GreenPool(3), []

    def work(number: int) -> int:
        begun.append(number)
        sleep(100 if number == 0 else 1)
        return number

    results = pool.imap(work, range(50))
    sleep(50)
    assert begun == [0, 1, 2]
    assert pool.running() == 1
    assert list(results) == list(range(50))


def test_memory_is_flat_however_long_the_input():
    pool = GreenPool(100)
    results = pool.imap(double, itertools.count())
    for _ in range(1000):
        next(results)
    tracemalloc.start()
    try:
        for _ in range(1000):
            next(results)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20_000):
            next(results)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


def test_one_that_nobody_takes_from_stops_and_goes():
    pool = GreenPool(2)
    pool.imap(slowly, itertools.count())
    results = pool.imap(slowly, itertools.count())
    gone = weakref.ref(results)
    assert next(results) == 0
    del results
    wait_all_blocked()
    assert (pool.running(), pool.free()) == (0, 2)
    pool.waitall()
    gc.collect()
    assert gone() is None


# Members --------------------------------------------------------------------------------------------------


def test_a_member_of_a_full_pool_calls_the_function_itself():
    pool = GreenPool(1)

    def member() -> list[object]:
        me = getcurrent()
        return list(pool.imap(lambda number: (number, getcurrent() is me), range(3)))

    assert pool.spawn(member).wait() == [(0, True), (1, True), (2, True)]


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_maps_inside_maps_never_deadlock(size):
    pool = GreenPool(size)

    def inner(number: int) -> list[int]:
        sleep()
        return list(pool.imap(slowly, range(number)))

    def outer(number: int) -> list[list[int]]:
        return list(pool.imap(inner, range(number)))

    expected = [[[i * 2 for i in range(k)] for k in range(n)] for n in range(6)]
    assert list(pool.imap(outer, range(6))) == expected
    pool.waitall()
    assert pool.free() == size


def test_members_that_call_the_function_themselves_may_share_a_map(clock):
    pool, shared, took, enough = GreenPool(2), [], [], Event()

    def inputs():
        for number in range(4):
            sleep(1)
            yield number

    def first() -> None:
        sleep()  # until the pool is full
        shared.append(pool.imap(double, inputs()))
        took.append(next(shared[0]))
        enough.wait()

    def second() -> None:
        sleep(0.5)  # the first one is inside the input
        took.extend(shared[0])
        enough.send()

    pool.spawn_n(first)
    pool.spawn_n(second)
    pool.waitall()
    assert took == [0, 2, 4, 6]


def test_errors_of_function_and_input_where_a_member_calls_itself():
    def inputs():
        yield 1
        yield 0
        yield 2
        raise ValueError("no more")

    def part_of_two(number: int) -> int:
        if not number:
            raise ValueError("no number")
        return 2 // number

    pool = GreenPool(1)
    taken = pool.spawn(lambda: outcomes(pool.imap(part_of_two, inputs()))).wait()
    assert taken == [2, "no number", 1, "no more"]


def test_a_timeout_reaches_a_member_that_calls_itself(clock):
    pool = GreenPool(1)

    def member() -> list[int]:
        results = pool.imap(lambda seconds: sleep(seconds) or seconds, [5, 1, 2])
        with Timeout(3, False):
            next(results)
        return list(results)

    assert pool.spawn(member).wait() == [1, 2]
    assert pool.waiting() == 0


# Kills ----------------------------------------------------------------------------------------------------


def test_a_call_that_is_killed_has_its_kill_for_a_result():
    pool = GreenPool(2)
    results = pool.imap(lambda number: sleep(1000) if number == 1 else number, range(4))
    assert next(results) == 0
    wait_all_blocked()
    (member,) = pool.members()
    kill(member)
    assert member.dead
    taken = []
    while len(taken) < 3:
        try:
            taken.append(next(results))
        except BaseException as error:
            taken.append(type(error).__name__)
    assert taken == ["GreenletExit", 2, 3]


def test_a_taker_that_is_killed_loses_no_result():
    results = GreenPool(1).imap(slowly, range(10))
    first, second = spawn(next, results), spawn(list, results)
    sleep()
    kill(first)
    assert second.wait() == [number * 2 for number in range(10)]


def test_a_taker_that_is_killed_with_a_result_on_its_way_hands_on():
    gate = Event()
    results = GreenPool(1).imap(lambda _: gate.wait(), range(1))
    first, second = spawn(next, results), spawn(next, results)
    sleep()
    gate.send("result")
    sleep()
    kill(first)
    assert second.wait() == "result"


# Hypothesis -----------------------------------------------------------------------------------------------


@given(
    size=st.integers(1, 5),
    items=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30),
    pauses=st.lists(st.integers(0, 2), min_size=30, max_size=30),
)
def test_does_what_map_would_whatever_waits_or_fails(size, items, pauses):
    pool = GreenPool(size)
    running = []

    def work(number: int, turns: int, fails: bool) -> int:
        running.append(number)
        assert len(running) <= size
        try:
            for _ in range(turns):
                sleep()
            if fails:
                raise ValueError(f"no {number}")
            return number
        finally:
            running.remove(number)

    results = pool.starmap(work, ((number, *item) for number, item in enumerate(items)))
    taken: list[object] = []
    for pause in (*pauses, 0):
        for _ in range(pause):
            sleep()
        try:
            taken.append(next(results))
        except StopIteration:
            break
        except ValueError as error:
            taken.append(str(error))
    assert taken == [f"no {number}" if fails else number for number, (_, fails) in enumerate(items)]
    pool.waitall()
    assert (pool.free(), pool.waiting()) == (size, 0)
