from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve_hub.deadlines import NEVER, Deadline, DeadlineQueue

pytestmark = pytest.mark.no_hub


def fired(queue: DeadlineQueue, now: float) -> list[object]:
    names = []
    while (deadline := queue.pop_due(now)) is not None:
        names.append(deadline.args[0])
    return names


def deadline(queue: DeadlineQueue, name: object, when: float | None = None) -> Deadline:
    made = Deadline(queue, print, (name,))
    if when is not None:
        made.arm(when)
    return made


def test_fire_in_the_order_of_their_moments_and_then_of_arming():
    queue = DeadlineQueue()
    for name, when in (("c", 3), ("a", 1), ("b1", 2), ("b2", 2)):
        deadline(queue, name, when)
    assert fired(queue, 0.9) == []
    assert fired(queue, 2) == ["a", "b1", "b2"]
    assert fired(queue, 3) == ["c"]
    assert fired(queue, 99) == []


def test_no_number_is_no_moment():
    queue = DeadlineQueue()
    with pytest.raises(ValueError, match="NaN"):
        deadline(queue, "never", float("nan"))
    assert fired(queue, NEVER) == []


def test_one_that_is_not_armed_never_fires():
    queue = DeadlineQueue()
    idle = deadline(queue, "idle")
    assert not idle.pending
    assert queue.next_moment() == NEVER
    idle.arm(NEVER)
    assert queue.next_moment() == NEVER


def test_fires_once_and_can_be_armed_again():
    queue = DeadlineQueue()
    again = deadline(queue, "again", 1)
    assert again.pending
    assert fired(queue, 5) == ["again"]
    assert not again.pending
    assert fired(queue, 5) == []
    again.arm(6)
    assert fired(queue, 6) == ["again"]


def test_putting_off_is_no_heap_operation():
    queue = DeadlineQueue()
    keep_alive = deadline(queue, "keep-alive", 10)
    for when in range(11, 10_000):
        keep_alive.disarm()
        keep_alive.arm(when)
    assert queue.pushed == 1
    assert queue.next_moment() == 10
    # Looked at in vain once, and pushed again for the moment that holds by then:
    assert fired(queue, 10) == []
    assert queue.pushed == 2
    assert queue.next_moment() == 9_999
    assert fired(queue, 9_999) == ["keep-alive"]


def test_arming_for_an_earlier_moment_overtakes():
    queue = DeadlineQueue()
    one = deadline(queue, "one", 10)
    one.arm(5)
    assert queue.next_moment() == 5
    assert fired(queue, 5) == ["one"]
    one.arm(10)  # its first entry for this moment is still there
    assert fired(queue, 10) == ["one"]
    assert fired(queue, 20) == []


def test_an_entry_that_was_overtaken_is_not_put_off_a_second_time():
    queue = DeadlineQueue()
    one = deadline(queue, "one", 10)
    one.arm(5)
    one.arm(20)
    assert fired(queue, 10) == []
    assert len(queue.heap) == 1
    assert fired(queue, 20) == ["one"]


def test_disarmed_and_cancelled_ones_stay_silent():
    queue = DeadlineQueue()
    disarmed, cancelled = deadline(queue, "disarmed", 1), deadline(queue, "cancelled", 1)
    disarmed.disarm()
    cancelled.cancel()
    cancelled.cancel()
    assert not disarmed.pending
    assert not cancelled.pending
    assert len(queue) == 0
    assert fired(queue, 1) == []
    assert cancelled.callback is None  # lets go of what it would have called
    assert cancelled.args == ()


def test_cancelled_ones_do_not_pile_up():
    queue = DeadlineQueue()
    kept = [deadline(queue, number, number) for number in range(100)]
    for _ in range(10):
        for when in range(1000):
            deadline(queue, "dead", 1_000_000 + when).cancel()
    assert len(queue.heap) < 3000
    assert len(queue) == len(kept)
    assert fired(queue, 2_000_000) == list(range(100))


def test_len_counts_the_armed_ones_once_each():
    queue = DeadlineQueue()
    one = deadline(queue, "one", 10)
    one.arm(5)
    deadline(queue, "two", 5)
    assert len(queue) == 2


def test_before_leaves_those_that_were_armed_since():
    queue = DeadlineQueue()
    deadline(queue, "old", 1)
    mark = queue.pushed
    deadline(queue, "new", 1)
    assert queue.pop_due(1, mark).args == ("old",)
    assert queue.pop_due(1, mark) is None
    assert fired(queue, 1) == ["new"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), st.integers(0, 4), st.integers(0, 30)),
        st.tuples(st.just("disarm"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.integers(0, 10)),
    ),
    max_size=60,
)


@given(STEPS)
def test_does_what_a_list_of_moments_would(steps):
    queue = DeadlineQueue()
    deadlines = [deadline(queue, number) for number in range(5)]
    expected: dict[int, float] = {}
    cancelled: set[int] = set()
    now = 0.0
    for what, number, amount in steps:
        if what == "arm" and number not in cancelled:
            deadlines[number].arm(now + amount)
            expected[number] = now + amount
        elif what == "disarm":
            deadlines[number].disarm()
            expected.pop(number, None)
        elif what == "cancel":
            deadlines[number].cancel()
            cancelled.add(number)
            expected.pop(number, None)
        else:
            now += amount
            due = {number for number, when in expected.items() if when <= now}
            names = fired(queue, now)
            assert len(names) == len(due)
            assert set(names) == due
            for number in due:
                del expected[number]
        assert {number for number, one in enumerate(deadlines) if one.pending} == set(expected)
        assert queue.next_moment() <= min(expected.values(), default=NEVER)
        assert len(queue) == len(expected)
