from __future__ import annotations

import contextvars

import pytest

from greenserve_hub.errors import HubError
from greenserve_hub.greenthreads.greenthreads import (
    GreenletExit,
    GreenThread,
    getcurrent,
    kill,
    sleep,
    spawn,
    spawn_after,
    spawn_after_local,
    spawn_n,
)
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.events import Event


def fail(text: str = "failed") -> None:
    raise ValueError(text)


def add(a: int, b: int = 0) -> int:
    return a + b


# spawn ----------------------------------------------------------------------------------------------------


def test_spawn_runs_in_the_next_turn_and_gives_the_result():
    order = []
    green = spawn(lambda: order.append("green") or "result")
    order.append("spawner")
    assert green.wait() == "result"
    assert green.wait() == "result"
    assert order == ["spawner", "green"]


def test_arguments_are_passed_on():
    assert spawn(add, 1, b=2).wait() == 3
    got = []
    spawn_n(lambda *args, **kwargs: got.append((args, kwargs)), 1, b=2)
    sleep()
    assert got == [((1,), {"b": 2})]


def test_they_run_side_by_side_in_the_order_of_spawning():
    order = []

    def work(name: str) -> None:
        for step in range(2):
            order.append((name, step))
            sleep()

    for green in [spawn(work, name) for name in "ab"]:
        green.wait()
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_it_is_true_while_started_and_alive():
    green = spawn(sleep)
    assert not green
    assert not green.dead
    sleep()
    assert green
    green.wait()
    assert not green
    assert green.dead


def test_the_result_may_be_none_or_an_exception():
    error = ValueError("a result like any other")
    assert spawn(lambda: None).wait() is None
    assert spawn(lambda: error).wait() is error


def test_an_exception_is_raised_in_whoever_waits(errors):
    green = spawn(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="failed"):
            green.wait()
    assert errors == []  # somebody waited, so the hub has nothing to tell


def test_an_exception_nobody_waits_for_goes_to_the_hub_and_is_kept(errors):
    green = spawn(fail)
    sleep()
    assert [str(error) for error in errors] == ["failed"]
    errors.clear()
    with pytest.raises(ValueError, match="failed"):
        green.wait()


def test_an_exception_after_the_one_who_waited_gave_up_goes_to_the_hub(errors, clock):
    green = spawn(lambda: (sleep(2), fail()))
    with pytest.raises(TimeoutError):
        green.wait(timeout=1)
    sleep(2)
    assert [str(error) for error in errors] == ["failed"]
    errors.clear()


def test_wait_with_a_timeout(clock):
    green = spawn(lambda: sleep(2) or "late")
    with pytest.raises(TimeoutError, match="has not ended within 1 s"):
        green.wait(timeout=1)
    assert green.wait(timeout=5) == "late"


def test_many_wait_for_one():
    green = spawn(lambda: sleep() or 7)
    waiting = [spawn(green.wait) for _ in range(3)]
    assert [waiter.wait() for waiter in waiting] == [7, 7, 7]


def test_waiting_for_itself_is_an_error():
    green = spawn(lambda: getcurrent().wait())
    with pytest.raises(HubError, match="cannot wait for its own end"):
        green.wait()


def test_each_has_a_copy_of_the_spawners_context():
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(1)

    def work() -> int:
        seen = variable.get()
        variable.set(seen + 1)
        sleep()
        return variable.get()

    assert [green.wait() for green in [spawn(work), spawn(work)]] == [2, 2]
    assert variable.get() == 1


def test_the_greenthread_is_the_current_greenlet_inside():
    green = spawn(getcurrent)
    assert green.wait() is green
    assert isinstance(green, GreenThread)


# Later ----------------------------------------------------------------------------------------------------


def test_spawn_after(clock):
    began = clock()
    assert spawn_after(5, clock).wait() == began + 5


def test_spawn_after_cancelled(clock):
    ran = []
    green = spawn_after(1, ran.append, 1)
    green.cancel()
    green.cancel()
    assert len(get_hub().deadlines) == 0
    sleep(2)
    assert ran == []
    assert green.dead
    with pytest.raises(GreenletExit):
        green.wait()


def test_spawn_after_local_runs_while_its_spawner_lives_only(clock):
    ran = []

    def spawner(lifetime: float) -> None:
        spawn_after_local(2, ran.append, lifetime)
        sleep(lifetime)

    spawn(spawner, 3)
    spawn(spawner, 1)
    sleep(4)
    assert ran == [3]


def test_cancel_does_nothing_to_one_that_has_started():
    green = spawn(lambda: sleep() or "done")
    sleep()
    green.cancel()
    assert green.wait() == "done"
    green.cancel()
    assert green.wait() == "done"


def test_cancel_before_the_first_step_never_switches():
    ran = []
    green = spawn(ran.append, "green")
    spawn_n(ran.append, "other")
    green.cancel(KeyError("cancelled"))
    assert ran == []
    assert green.dead
    sleep()
    assert ran == ["other"]
    with pytest.raises(KeyError, match="cancelled"):
        green.wait()


# link -----------------------------------------------------------------------------------------------------


def test_links_are_called_in_order_in_its_own_context():
    calls = []

    def linked(green: GreenThread, name: str, extra: int = 0) -> None:
        calls.append((green, name, extra, getcurrent()))

    green = spawn(add, 1)
    green.link(linked, "first", extra=1)
    green.link(linked, "second")
    assert green.wait() == 1
    assert calls == [(green, "first", 1, green), (green, "second", 0, green)]


def test_a_link_to_one_that_has_ended_is_called_at_once():
    calls = []
    green = spawn(add, 1)
    green.wait()
    green.link(calls.append)
    assert calls == [green]
    with pytest.raises(ValueError, match="failed"):
        green.link(lambda _: fail())
    green.link(calls.append)
    assert calls == [green, green]


def test_unlink():
    calls = []
    green = spawn(add, 1)
    green.link(lambda green, name: calls.append(name), "other")
    green.link(calls.append)
    assert green.unlink(calls.append)
    assert not green.unlink(calls.append)
    green.wait()
    assert calls == ["other"]


def test_a_link_made_by_a_link_is_followed_without_recursion():
    depth = 5000
    calls = []

    def again(green: GreenThread) -> None:
        calls.append(green)
        if len(calls) < depth:
            green.link(again)

    green = spawn(add, 1)
    green.link(again)
    green.wait()
    assert len(calls) == depth
    calls.clear()
    green.link(again)
    assert len(calls) == depth


def test_a_link_that_fails_harms_neither_the_others_nor_the_result(errors):
    calls = []
    green = spawn(add, 1)
    green.link(lambda _: fail("link"))
    green.link(calls.append)
    assert green.wait() == 1
    assert calls == [green]
    assert [str(error) for error in errors] == ["link"]
    errors.clear()


def test_links_hear_of_exceptions_and_kills(errors):
    ended = []

    def linked(green: GreenThread) -> None:
        try:
            green.wait()
        except BaseException as error:
            ended.append(type(error))

    for green in (spawn(fail), spawn(sleep, 10), spawn(sleep, 10)):
        green.link(linked)
    sleep()
    for green in tuple(get_hub().parked):
        kill(green)
    unstarted = spawn(fail)
    unstarted.link(linked)
    kill(unstarted)
    assert ended == [ValueError, GreenletExit, GreenletExit, GreenletExit]


# kill -----------------------------------------------------------------------------------------------------


def test_kill_runs_the_finally_clauses_before_it_returns():
    log = []

    def work() -> None:
        try:
            sleep(10)
        finally:
            log.append("finally")

    green = spawn(work)
    sleep()
    kill(green)
    log.append("killed")
    assert log == ["finally", "killed"]
    assert green.dead
    with pytest.raises(GreenletExit):
        green.wait()


@pytest.mark.parametrize("started", [True, False])
def test_kill_gives_way_for_a_turn(started):
    log = []
    green = spawn(sleep, 10)
    if started:
        sleep()
    spawn_n(log.append, "other")
    green.kill()
    assert log == ["other"]


def test_kill_before_the_first_step_never_runs_it_and_tells_who_waits():
    ran = []
    green = spawn(ran.append, 1)
    waiting = spawn(green.wait)
    kill(green)
    assert green.dead
    with pytest.raises(GreenletExit):
        waiting.wait()
    bare = spawn_n(ran.append, 1)
    kill(bare)
    assert bare.dead
    sleep()
    assert ran == []


@pytest.mark.parametrize("throw", [(KeyError("why"),), (KeyError, "why"), (KeyError, KeyError("why"), None)])
@pytest.mark.parametrize("started", [True, False])
def test_kill_with_an_exception(throw, started):
    green = spawn(sleep, 10)
    ended = []
    green.link(ended.append)
    if started:
        sleep()
    kill(green, *throw)
    assert ended == [green]
    with pytest.raises(KeyError, match="why"):
        green.wait()


def test_kill_of_a_dead_one_does_nothing():
    green = spawn(add, 1)
    green.wait()
    kill(green)
    green.kill()
    assert green.wait() == 1


def test_kill_oneself():
    def work() -> None:
        kill(getcurrent())
        raise AssertionError("not reached")

    with pytest.raises(GreenletExit):
        spawn(work).wait()


def test_kill_reaches_it_before_a_wake_that_is_on_its_way():
    event, log = Event(), []

    def work() -> None:
        event.wait()
        log.append("went on")

    green = spawn(work)
    sleep()
    event.send()
    kill(green)
    assert log == []


def test_one_that_catches_the_kill_goes_on():
    def work() -> str:
        try:
            sleep(10)
        except GreenletExit:
            sleep()
        return "survived"

    green = spawn(work)
    sleep()
    kill(green)
    assert green.wait() == "survived"


def test_kill_from_a_callback_of_the_hub():
    green = spawn(sleep, 10)
    sleep()
    get_hub().call_soon(kill, green)
    with pytest.raises(GreenletExit):
        green.wait()


def test_the_kill_of_a_bare_one_with_an_error_is_told(errors):
    bare = spawn_n(sleep, 10)
    sleep()
    kill(bare, ValueError("told"))
    assert [str(error) for error in errors] == ["told"]
    errors.clear()


def test_a_killer_that_is_killed_meanwhile():
    def stubborn() -> None:
        try:
            sleep(10)
        finally:
            sleep(0.001)

    victim = spawn(stubborn)
    killer = spawn(kill, victim)
    sleep()
    kill(killer)
    assert killer.dead
    with pytest.raises(GreenletExit):
        victim.wait()


# sleep ----------------------------------------------------------------------------------------------------


def test_sleep_takes_its_time(clock):
    began = clock()
    sleep(3)
    assert clock() == began + 3
    sleep(0)
    sleep(-1)
    assert clock() == began + 3


def test_sleep_on_a_real_clock():
    clock = get_hub().clock
    began = clock()
    sleep(0.02)
    assert clock() - began >= 0.02


def test_sleep_in_the_hub(errors):
    done = []
    get_hub().call_soon(lambda: done.append(sleep(0)))
    get_hub().call_soon(sleep, 1)
    sleep()
    assert done == [None]
    assert "would wait inside the hub" in str(errors.pop())
