from __future__ import annotations

import threading

import pytest
from greenlet import GreenletExit, getcurrent

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn
from greenserve_hub.greenthreads.piles import GreenPile
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import get_hub, set_hub
from greenserve_hub.sync.events import Event
from greenserve_hub.sync.semaphores import Semaphore


def fail(text: object = "failed") -> None:
    raise ValueError(text)


def double(number: int) -> int:
    return number * 2


def counts(pool: GreenPool) -> tuple[int, int, int]:
    return pool.running(), pool.free(), pool.waiting()


# Size -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "error"), [("ten", TypeError), (None, TypeError), ([], TypeError), (-1, ValueError)]
)
@pytest.mark.parametrize("make", [GreenPool, GreenPile, GreenPool(1).resize])
def test_refuses_what_is_no_size(make, size, error):
    with pytest.raises(error):
        make(size)


def test_has_a_thousand_slots_unless_told():
    assert GreenPool().free() == 1000
    assert GreenPool(1e3).size == 1000
    assert GreenPool(0).free() == 0


def test_resize_to_more_lets_those_in_who_wait():
    pool = GreenPool(1)
    gate = Event()
    spawners = [spawn(pool.spawn, gate.wait) for _ in range(3)]
    sleep()
    assert counts(pool) == (1, 0, 2)
    pool.resize(2)
    sleep()
    assert counts(pool) == (2, 0, 1)
    pool.resize(5)
    sleep()
    assert counts(pool) == (3, 2, 0)
    gate.send()
    pool.waitall()
    assert counts(pool) == (0, 5, 0)
    assert all(spawner.dead for spawner in spawners)


def test_resize_to_fewer_lets_the_running_ones_go_on():
    pool = GreenPool(3)
    gates = [Event() for _ in range(3)]
    for gate in gates:
        pool.spawn_n(gate.wait)
    pool.resize(1)
    assert (pool.running(), pool.free(), pool.size) == (3, -2, 1)
    spawner = spawn(pool.spawn_n, sleep)
    for free in (-1, 0):
        gates.pop().send()
        sleep()
        sleep()
        assert pool.free() == free
        assert pool.waiting() == 1
    gates.pop().send()
    spawner.wait()
    pool.waitall()
    assert counts(pool) == (0, 1, 0)


# spawn and spawn_n ----------------------------------------------------------------------------------------


def test_spawn_gives_a_green_thread_with_the_result():
    pool = GreenPool(2)
    green = pool.spawn(double, 21)
    assert counts(pool) == (1, 1, 0)
    assert set(pool.members()) == {green}
    assert green.wait() == 42
    assert counts(pool) == (0, 2, 0)
    assert pool.spawn(dict, a=1).wait() == {"a": 1}


def test_spawn_n_runs_in_the_next_turn():
    pool, got = GreenPool(), []
    assert pool.spawn_n(lambda *args, **kwargs: got.append((args, kwargs)), 1, b=2) is None
    assert got == []
    pool.waitall()
    assert got == [((1,), {"b": 2})]


@pytest.mark.parametrize("start", ["spawn", "spawn_n"])
def test_waits_while_full_first_come_first_served(start):
    pool, order = GreenPool(2), []

    def work(name: int) -> None:
        assert pool.running() <= 2
        order.append(name)
        sleep()

    spawners = [spawn(getattr(pool, start), work, name) for name in range(6)]
    sleep()
    assert counts(pool) == (2, 0, 4)
    for spawner in spawners:
        spawner.wait()
    pool.waitall()
    assert order == list(range(6))
    assert counts(pool) == (0, 2, 0)


def test_errors_go_to_the_hub_and_give_the_slot_back(errors):
    pool = GreenPool(1)
    pool.spawn_n(fail, "spawn_n")
    pool.waitall()
    pool.spawn(fail, "spawn")
    pool.waitall()
    assert [str(error) for error in errors] == ["spawn_n", "spawn"]
    errors.clear()
    with pytest.raises(ValueError, match="waited for"):
        pool.spawn(fail, "waited for").wait()
    assert counts(pool) == (0, 1, 0)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_reaches_the_main_greenlet(kind):
    def end() -> None:
        raise kind

    pool = GreenPool(1)
    pool.spawn_n(end)
    with pytest.raises(kind):
        sleep(10)
    assert counts(pool) == (0, 1, 0)


def test_a_member_of_a_full_pool_runs_what_it_spawns_itself(errors):
    pool, order = GreenPool(1), []

    def member() -> list[object]:
        me = getcurrent()
        green = pool.spawn(lambda: order.append(getcurrent() is me) or "inline")
        assert order == [True]
        pool.spawn_n(lambda **kwargs: order.append(kwargs), a=1)
        assert order == [True, {"a": 1}]
        failed = pool.spawn(fail, "inline")
        pool.spawn_n(fail, "inline n")
        kill(green)  # it has nothing left to kill
        with pytest.raises(ValueError, match="inline"):
            failed.wait()
        return [green.wait(), pool.running()]

    assert pool.spawn(member).wait() == ["inline", 1]
    assert [str(error) for error in errors] == ["inline", "inline n"]
    errors.clear()


def test_what_is_thrown_at_a_member_reaches_it_through_what_it_runs_itself(clock):
    pool = GreenPool(1)

    def member() -> str:
        with Timeout(1, False):
            pool.spawn(sleep, 10)
        return "in time"

    assert pool.spawn(member).wait() == "in time"


def test_a_member_of_a_pool_with_room_gets_a_green_thread():
    pool = GreenPool(2)
    assert pool.spawn(lambda: pool.spawn(getcurrent).wait() is not getcurrent()).wait()


def test_who_is_not_a_member_waits_even_when_a_member_of_another():
    pool, other = GreenPool(1), GreenPool(1)
    gate = Event()
    pool.spawn_n(gate.wait)
    green = other.spawn(lambda: pool.spawn(double, 1).wait())
    sleep()
    assert pool.waiting() == 1
    gate.send()
    assert green.wait() == 2


@pytest.mark.parametrize("start", ["spawn", "spawn_n"])
def test_a_spawner_that_is_killed_takes_no_slot(start):
    pool = GreenPool(1)
    gate = Event()
    pool.spawn_n(gate.wait)
    first, second = (spawn(getattr(pool, start), sleep) for _ in range(2))
    sleep()
    kill(first)
    assert pool.waiting() == 1
    gate.send()
    sleep()
    kill(second)  # the slot is on its way to it
    pool.waitall()
    assert counts(pool) == (0, 1, 0)


def test_a_spawner_killed_with_the_last_slot_on_its_way_keeps_no_waitall_waiting():
    pool = GreenPool(1)
    gate = Event()
    pool.spawn_n(gate.wait)
    spawner = spawn(pool.spawn_n, sleep)
    waiter = spawn(pool.waitall)
    sleep()
    gate.send()
    sleep()
    assert pool.running() == 0
    kill(spawner)
    waiter.wait()


# Kill -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("start", ["spawn", "spawn_n"])
@pytest.mark.parametrize("warm", [True, False])
def test_a_killed_member_gives_its_slot_back_once(start, started, warm):
    pool, ran = GreenPool(1), []
    if warm:  # so that spawn_n finds a worker
        pool.spawn_n(sleep)
        pool.waitall()

    def work() -> None:
        ran.append(1)
        sleep(10)

    getattr(pool, start)(work)
    (member,) = pool.members()
    if started:
        sleep()
    kill(member)
    assert member.dead
    assert counts(pool) == (0, 1, 0)
    assert len(ran) == started
    sleep()
    assert len(ran) == started
    assert pool.spawn(double, 1).wait() == 2
    pool.spawn_n(ran.append, "next")
    pool.waitall()
    assert ran[-1] == "next"
    assert counts(pool) == (0, 1, 0)


def test_cancel_gives_the_slot_back():
    pool = GreenPool(1)
    green = pool.spawn(double, 1)
    green.cancel()
    assert counts(pool) == (0, 1, 0)
    with pytest.raises(GreenletExit):
        green.wait()


def test_a_job_that_survives_its_kill_keeps_its_slot_until_it_ends():
    pool = GreenPool(1)

    def stubborn() -> None:
        try:
            sleep(10)
        except GreenletExit:
            sleep()

    pool.spawn_n(stubborn)
    sleep()
    (member,) = pool.members()
    kill(member)
    assert pool.running() in (0, 1)
    pool.waitall()
    assert counts(pool) == (0, 1, 0)
    assert not member.dead


def test_an_idle_worker_that_is_killed_is_not_used_again():
    pool, ran = GreenPool(1), []
    pool.spawn_n(sleep)
    pool.waitall()
    (worker,) = pool._idle
    kill(worker)
    assert worker.dead
    pool.spawn_n(ran.append, 1)
    pool.waitall()
    assert ran == [1]


# waitall --------------------------------------------------------------------------------------------------


def test_waitall_waits_for_all_and_for_what_they_spawn():
    pool, done = GreenPool(2), []

    def work(depth: int) -> None:
        sleep()
        if depth:
            pool.spawn_n(work, depth - 1)
        done.append(depth)

    pool.spawn_n(work, 5)
    pool.waitall()
    assert sorted(done) == [0, 1, 2, 3, 4, 5]
    pool.waitall()


def test_waitall_waits_for_those_who_wait_for_a_slot():
    pool, done = GreenPool(1), []
    for number in range(3):
        spawn(pool.spawn_n, done.append, number)
    sleep()
    pool.waitall()
    assert done == [0, 1, 2]


def test_waitall_from_a_member_is_an_error():
    pool = GreenPool(2)
    with pytest.raises(AssertionError, match="cannot wait for the end"):
        pool.spawn(pool.waitall).wait()


# start_nowait ---------------------------------------------------------------------------------------------


def test_start_nowait_starts_while_there_is_a_slot():
    pool = GreenPool(2)
    gate = Event()
    assert [pool.start_nowait(gate.wait) for _ in range(3)] == [True, True, False]
    assert counts(pool) == (2, 0, 0)
    gate.send()
    pool.waitall()
    assert pool.start_nowait(sleep)
    pool.waitall()


def test_start_nowait_from_a_green_thread_does_not_switch():
    pool, order = GreenPool(), []
    pool.start_nowait(order.append, "job")
    order.append("starter")
    pool.waitall()
    assert order == ["starter", "job"]


def test_start_nowait_from_the_hub_goes_straight_into_the_job():
    pool, order = GreenPool(), []

    def job() -> None:
        order.append("begins")
        sleep()
        order.append("ends")

    def callback() -> None:
        assert pool.start_nowait(job)
        order.append("callback")

    for _ in range(2):  # with a new worker, and with one that was used before
        get_hub().call_soon(callback)
        sleep()
        pool.waitall()
    assert order == ["begins", "callback", "ends"] * 2


def test_start_nowait_from_the_hub_contains_errors(errors):
    pool, order = GreenPool(), []
    get_hub().call_soon(lambda: order.append(pool.start_nowait(fail)))
    sleep()
    assert order == [True]
    assert [str(error) for error in errors] == ["failed"]
    errors.clear()
    assert counts(pool) == (0, 1000, 0)


def test_start_nowait_takes_no_slot_from_one_that_waits():
    pool = GreenPool(1)
    gate, order = Event(), []
    pool.spawn_n(gate.wait)
    spawn(pool.spawn_n, order.append, "waited")
    sleep()
    gate.send()
    refused = []
    get_hub().call_soon(lambda: refused.append(pool.start_nowait(order.append, "slipped in")))
    sleep()
    pool.waitall()
    assert order == ["waited"]
    assert refused == [False]


# Lending --------------------------------------------------------------------------------------------------


def lender(pool: GreenPool, back: Event, order: list[str]) -> None:
    pool.lend()
    back.wait()
    pool.reclaim()
    order.append("has a slot again")


def test_a_lent_slot_is_for_others_and_is_waited_for_when_it_is_reclaimed():
    pool, back, gate, order = GreenPool(1), Event(), Event(), []
    pool.spawn_n(lender, pool, back, order)
    sleep()
    assert counts(pool) == (1, 1, 0)
    pool.spawn_n(gate.wait)
    back.send()
    sleep()
    assert (counts(pool), order) == ((2, 0, 1), [])
    gate.send()
    pool.waitall()
    assert (counts(pool), order) == ((0, 1, 0), ["has a slot again"])


def test_a_lender_that_cannot_wait_has_its_slot_beyond_the_size(errors):
    pool, back, gate = GreenPool(1), Event(), Event()
    pool.spawn_n(lender, pool, back, [])
    sleep()
    (member,) = pool.members()
    pool.spawn_n(gate.wait)
    back.send()
    sleep()
    get_hub().call_soon(member.throw, ValueError("while it waits for its slot"))
    sleep()
    assert "while it waits for its slot" in str(errors.pop())
    assert counts(pool) == (1, 0, 0)
    gate.send()
    pool.waitall()
    assert counts(pool) == (0, 1, 0)


def test_a_slot_that_is_reclaimed_now_makes_no_room_until_one_above_the_size_has_ended():
    pool, ends, gate = GreenPool(1), Event(), Event()

    def lends() -> None:
        pool.lend()
        ends.wait()
        pool.reclaim_now()
        assert pool.free() == -1

    pool.spawn_n(lends)
    sleep()
    pool.spawn_n(gate.wait)
    ends.send()
    sleep()
    assert counts(pool) == (1, 0, 0)
    gate.send()
    pool.waitall()
    assert counts(pool) == (0, 1, 0)


def test_slots_of_the_callers_own_say_in_dumps_what_is_waited_for():
    class Slots(Semaphore):
        def __repr__(self) -> str:
            return "a seat"

    pool, gate = GreenPool(1, slots=Slots(1)), Event()
    pool.spawn_n(gate.wait)
    waits = spawn(pool.spawn, sleep)
    sleep()
    assert "acquire a seat" in "\n".join(map(str, get_hub().parked.values()))
    gate.send()
    waits.wait()
    pool.waitall()


# Hubs -----------------------------------------------------------------------------------------------------


def in_a_thread(fn) -> object:
    result: list[object] = []

    def run() -> None:
        try:
            result.append(fn())
        except BaseException as error:
            result.append(error)
        hub = set_hub(None)
        if hub is not None:
            hub.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return result[0]


def test_a_pool_at_work_belongs_to_its_thread():
    pool = GreenPool()
    gate = Event()
    pool.spawn_n(gate.wait)
    sleep()
    for use in (lambda: pool.spawn(sleep), lambda: pool.spawn_n(sleep), lambda: pool.start_nowait(sleep)):
        assert isinstance(in_a_thread(use), HubError)
    gate.send()
    pool.waitall()
    assert counts(pool) == (0, 1000, 0)


def test_an_idle_pool_may_move_to_another_thread():
    pool = GreenPool()
    pool.spawn_n(sleep)
    pool.waitall()
    done = []
    for _ in range(2):
        in_a_thread(lambda: (pool.spawn_n(done.append, threading.get_ident()), pool.waitall()))
        pool.spawn_n(done.append, "here")
        pool.waitall()
    assert done[1::2] == ["here", "here"]
    assert threading.get_ident() not in done
