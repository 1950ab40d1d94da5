from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.semaphores import BoundedSemaphore, CappedSemaphore, Semaphore

KINDS = [Semaphore, BoundedSemaphore]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest):
    return request.param


def test_counts_down_and_up(kind):
    tokens = kind(2)
    assert (tokens.counter, tokens.balance, tokens.locked(), tokens.bounded()) == (2, 2, False, False)
    assert tokens.acquire()
    assert tokens.acquire()
    assert tokens.locked()
    assert not tokens.acquire(blocking=False)
    assert tokens.release() is True
    assert tokens.counter == 1
    tokens.release()


def test_begins_with_one(kind):
    assert kind().counter == 1


@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), ("one", ValueError), (None, TypeError)])
def test_refuses_what_is_no_number_of_tokens(kind, value, error):
    with pytest.raises(error):
        kind(value)


def test_who_waits_longest_is_served_first(kind):
    tokens, order = kind(1), []

    def work(name: str) -> None:
        with tokens:
            order.append(name)
            sleep()

    for green in [spawn(work, name) for name in "abcd"]:
        green.wait()
    assert order == ["a", "b", "c", "d"]
    assert tokens.counter == 1


def test_nobody_slips_in_between_a_release_and_the_one_that_waits(kind):
    tokens, order = kind(1), []
    tokens.acquire()
    green = spawn(lambda: tokens.acquire() and order.append("waited"))
    sleep()
    tokens.release()
    assert not tokens.acquire(blocking=False)
    green.wait()
    assert order == ["waited"]


def test_balance_counts_those_who_wait(kind):
    tokens = kind(0) if kind is Semaphore else kind(1)
    if kind is BoundedSemaphore:
        tokens.acquire()
    greens = [spawn(tokens.acquire) for _ in range(3)]
    sleep()
    assert (tokens.counter, tokens.balance, tokens.waiting()) == (0, -3, 3)
    assert "balance=-3" in repr(tokens)
    for green in greens:
        tokens.release()
        assert green.wait() is True
    assert tokens.balance == 0


def test_acquire_within_a_time(kind, clock):
    tokens = kind(1)
    tokens.acquire()
    began = clock()
    assert tokens.acquire(timeout=2) is False
    assert clock() == began + 2
    assert tokens.acquire(timeout=0) is False
    get_hub().call_after(1, tokens.release)
    assert tokens.acquire(timeout=2) is True
    get_hub().call_after(1, tokens.release)
    assert tokens.acquire(timeout=-1) is True  # how threading spells "no timeout"
    assert clock() == began + 4
    assert tokens.waiting() == 0


def test_refuses_arguments_that_make_no_sense(kind):
    for arguments in ({"blocking": False, "timeout": 1}, {"timeout": -2}):
        with pytest.raises(ValueError, match="timeout"):
            kind(1).acquire(**arguments)


def test_a_token_on_its_way_to_one_that_is_killed_goes_to_the_next(kind):
    tokens = kind(1)
    tokens.acquire()
    first, second = spawn(tokens.acquire), spawn(tokens.acquire)
    sleep()
    tokens.release()
    kill(first)
    assert second.wait() is True
    tokens.release()
    assert tokens.counter == 1


def test_a_token_on_its_way_to_the_only_one_comes_back(kind):
    tokens = kind(1)
    tokens.acquire()
    green = spawn(tokens.acquire)
    sleep()
    tokens.release()
    kill(green)
    assert tokens.counter == 1


def test_a_killed_waiter_takes_no_token(kind):
    tokens = kind(1)
    tokens.acquire()
    green = spawn(tokens.acquire)
    sleep()
    kill(green)
    tokens.release()
    assert tokens.counter == 1


def test_with_gives_the_token_back_after_an_error(kind):
    tokens = kind(1)
    with pytest.raises(KeyError), tokens:
        raise KeyError
    assert tokens.counter == 1


def test_tokens_below_nothing_have_to_be_made_up_for_first():
    tokens = Semaphore(1)
    tokens.counter -= 3  # as GreenPool.resize does
    green = spawn(tokens.acquire)
    sleep()
    tokens.release()
    tokens.release()
    assert (tokens.counter, tokens.waiting()) == (0, 1)
    tokens.release()
    assert green.wait() is True
    assert tokens.counter == 0


def test_a_bounded_one_refuses_more_than_it_began_with():
    tokens = BoundedSemaphore(1)
    with pytest.raises(ValueError, match="released more often than acquired"):
        tokens.release()
    with tokens:
        pass
    assert tokens.counter == 1


@given(st.integers(0, 3), st.lists(st.sampled_from(["acquire", "release", "run", "kill"]), max_size=30))
def test_no_token_is_lost_or_made(value, steps):
    tokens = Semaphore(value)
    taken: list[int] = []
    waiting = []
    released = 0
    for number, step in enumerate(steps):
        if step == "acquire":
            waiting.append(spawn(lambda number=number: tokens.acquire() and taken.append(number)))
        elif step == "release":
            tokens.release()
            released += 1
        elif step == "kill" and waiting:
            kill(waiting.pop(0))
        else:
            sleep()
    for _ in range(3):
        sleep()
    assert tokens.counter == value + released - len(taken)
    assert tokens.counter == 0 or not tokens.waiting()
    for green in waiting:
        kill(green)


# Capped ---------------------------------------------------------------------------------------------------


def test_capped_releases_up_to_its_limit():
    tokens = CappedSemaphore(0, 2)
    assert tokens.locked()
    assert tokens.release()
    assert tokens.release()
    assert tokens.bounded()
    assert not tokens.release(blocking=False)
    waiting = spawn(tokens.release)
    sleep()
    assert tokens.balance == 3
    assert "balance=3" in repr(tokens)
    assert tokens.acquire()
    assert waiting.wait() is True
    assert tokens.acquire()
    assert tokens.acquire()
    assert not tokens.acquire(blocking=False)
    assert tokens.balance == 0


def test_capped_acquire_within_a_time(clock):
    tokens = CappedSemaphore(0, 1)
    assert tokens.acquire(timeout=1) is False
    get_hub().call_after(1, tokens.release)
    assert tokens.acquire(timeout=2) is True
    assert not tokens.bounded()


def test_capped_with():
    tokens = CappedSemaphore(1, 1)
    with tokens:
        assert tokens.locked()
    assert tokens.bounded()


@pytest.mark.parametrize(("count", "limit"), [(-1, 1), (2, 1)])
def test_capped_refuses_more_than_its_limit(count, limit):
    with pytest.raises(ValueError, match="starts with 0 to 1 tokens"):
        CappedSemaphore(count, limit)


def test_with_no_room_at_all_giver_and_taker_meet():
    tokens = CappedSemaphore(0, 0)
    assert tokens.locked()
    assert tokens.bounded()
    for first, second in ((tokens.acquire, tokens.release), (tokens.release, tokens.acquire)):
        waiting = spawn(first)
        sleep()
        assert not waiting.dead
        assert second(blocking=False) is True
        assert waiting.wait() is True
        assert tokens.balance == 0
    assert tokens.acquire(blocking=False) is False
    assert tokens.release(blocking=False) is False


def test_capped_at_none_within_a_time(clock):
    tokens = CappedSemaphore(0, 0)
    assert tokens.acquire(timeout=1) is False
    assert tokens.release(blocking=False) is False  # who waited is gone
    get_hub().call_after(1, tokens.release)
    assert tokens.acquire(timeout=2) is True


@given(
    st.integers(0, 2),
    st.integers(0, 2),
    st.lists(st.sampled_from(["acquire", "release", "run", "kill taker", "kill giver"]), max_size=40),
)
def test_capped_loses_no_token_and_makes_none(count, room, steps):
    tokens = CappedSemaphore(count, count + room)
    taken: list[int] = []
    given: list[int] = []
    takers, givers = [], []
    for number, step in enumerate(steps):
        if step == "acquire":
            takers.append(spawn(lambda number=number: tokens.acquire() and taken.append(number)))
        elif step == "release":
            givers.append(spawn(lambda number=number: tokens.release() and given.append(number)))
        elif step == "kill taker" and takers:
            kill(takers.pop(0))
        elif step == "kill giver" and givers:
            kill(givers.pop(0))
        else:
            sleep()
    for _ in range(3):
        sleep()
    assert tokens.counter == count + len(given) - len(taken)
    waiting = [[not green.dead for green in side].count(True) for side in (takers, givers)]
    assert 0 in waiting, "one who gives and one who takes wait for each other"
    assert tokens.balance == tokens.counter - waiting[0] + waiting[1]
    for green in takers + givers:
        kill(green)
