"""The contract of queues over every class, what each class adds, and hypothesis over all of them."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.queues import Empty, Full, LifoQueue, LightQueue, PriorityQueue, Queue

KINDS = [Queue, PriorityQueue, LifoQueue]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest):
    return request.param


def settle() -> None:
    for _ in range(3):
        sleep()


# The contract ---------------------------------------------------------------------------------------------


def test_what_goes_in_comes_out(kind):
    queue = kind()
    assert queue.empty()
    queue.put("item")
    assert (queue.qsize(), queue.empty(), queue.full()) == (1, False, False)
    assert queue.get() == "item"
    assert queue.empty()


@pytest.mark.parametrize("maxsize", [None, -1])
def test_without_a_limit_it_is_never_full(kind, maxsize):
    queue = kind(maxsize)
    for item in range(1000):
        queue.put_nowait(item)
    assert not queue.full()
    assert queue.maxsize is None


def test_get_waits_for_an_item(kind):
    queue = kind()
    green = spawn(queue.get)
    sleep()
    assert queue.getting() == 1
    queue.put("item")
    assert queue.getting() == 0
    assert queue.empty()  # it is on its way already
    assert green.wait() == "item"


def test_put_waits_for_room(kind):
    queue = kind(1)
    queue.put(1)
    assert queue.full()
    green = spawn(queue.put, 2)
    sleep()
    assert (queue.putting(), queue.qsize()) == (1, 1)
    assert queue.get() == 1
    assert (queue.putting(), queue.qsize()) == (0, 1)  # its item is in already
    green.wait()
    assert queue.get() == 2


def test_getters_are_served_in_their_order(kind):
    queue, got = kind(), []
    greens = [spawn(lambda name=name: got.append((name, queue.get()))) for name in "abc"]
    sleep()
    for item in range(3):
        queue.put(item)
    for green in greens:
        green.wait()
    assert got == [("a", 0), ("b", 1), ("c", 2)]


def test_putters_are_served_in_their_order(kind):
    queue, done = kind(1), []
    queue.put(0)
    for item in range(1, 4):
        spawn(lambda item=item: (queue.put(item), done.append(item)))
    sleep()
    got = []
    for _ in range(4):
        got.append(queue.get())
        sleep()
    assert got == [0, 1, 2, 3]
    assert done == [1, 2, 3]


def test_nobody_slips_in_before_a_putter_that_waits(kind):
    queue = kind(1)
    queue.put(1)
    green = spawn(queue.put, 2)
    sleep()
    queue.get()
    with pytest.raises(Full):
        queue.put_nowait(3)
    green.wait()
    assert queue.get() == 2


def test_nobody_slips_in_before_a_getter_that_waits(kind):
    queue = kind()
    green = spawn(queue.get)
    sleep()
    queue.put(1)
    with pytest.raises(Empty):
        queue.get_nowait()
    assert green.wait() == 1


def test_nowait(kind):
    queue = kind(1)
    with pytest.raises(Empty):
        queue.get_nowait()
    with pytest.raises(Empty):
        queue.get(block=False)
    queue.put_nowait(1)
    for refuse in (lambda: queue.put_nowait(2), lambda: queue.put(2, block=False)):
        with pytest.raises(Full):
            refuse()
    assert queue.get_nowait() == 1


def test_within_a_time(kind, clock):
    queue = kind(1)
    began = clock()
    with pytest.raises(Empty):
        queue.get(timeout=2)
    queue.put(1)
    with pytest.raises(Full):
        queue.put(2, timeout=3)
    assert clock() == began + 5
    assert (queue.getting(), queue.putting(), queue.qsize()) == (0, 0, 1)
    get_hub().call_after(1, queue.get_nowait)
    queue.put(2, timeout=2)
    assert queue.get(timeout=0) == 2
    get_hub().call_after(1, queue.put_nowait, 3)
    assert queue.get(timeout=2) == 3


def test_an_item_goes_past_a_getter_whose_time_ran_out(kind, clock, errors):
    queue = kind()
    late, patient = spawn(queue.get, timeout=1), spawn(queue.get)
    sleep()
    get_hub().call_after(1, queue.put_nowait, "item")
    assert patient.wait() == "item"
    with pytest.raises(Empty):
        late.wait()
    assert [type(error) for error in errors] == [Empty]
    errors.clear()


def test_nowait_calls_work_from_callbacks_of_the_hub(kind):
    queue = kind()
    green = spawn(queue.get)
    sleep()
    get_hub().call_soon(queue.put_nowait, 1)
    assert green.wait() == 1
    get_hub().call_soon(queue.put_nowait, 2)
    got = []
    get_hub().call_soon(lambda: got.append(queue.get_nowait()))
    settle()
    assert got == [2]


def test_an_item_on_its_way_to_one_that_is_killed_goes_to_the_next(kind):
    queue = kind()
    first, second = spawn(queue.get), spawn(queue.get)
    sleep()
    queue.put("item")
    kill(first)
    assert second.wait() == "item"


def test_an_item_on_its_way_to_the_only_one_comes_back_as_the_next(kind):
    queue = kind()
    green = spawn(queue.get)
    sleep()
    queue.put(1)
    if kind is not LifoQueue:  # there the newest comes first anyway
        queue.put(2)
    kill(green)
    assert queue.get() == 1


def test_an_item_on_its_way_to_one_that_times_out_is_not_lost(kind, clock):
    queue = kind()

    def work() -> None:
        with Timeout(1, False):
            queue.get()

    green = spawn(work)
    sleep()
    get_hub().call_after(0.9, queue.put_nowait, "item")
    clock.advance(1)  # both are due in one turn
    green.wait()
    assert queue.get_nowait() == "item"


def test_a_putter_that_is_killed_takes_its_item_along(kind):
    queue = kind(1)
    queue.put(1)
    green = spawn(queue.put, 2)
    sleep()
    kill(green)
    assert queue.get() == 1
    assert queue.empty()


def test_a_putter_that_is_killed_after_its_item_was_taken_leaves_it(kind):
    queue = kind(1)
    queue.put(1)
    green = spawn(queue.put, 2)
    sleep()
    assert queue.get() == 1
    kill(green)
    assert queue.get() == 2


def test_resize_lets_putters_in(kind):
    queue = kind(1)
    queue.put(0)
    greens = [spawn(queue.put, item) for item in (1, 2, 3)]
    sleep()
    queue.resize(3)
    assert (queue.qsize(), queue.putting()) == (3, 1)
    queue.resize(None)
    assert (queue.qsize(), queue.putting()) == (4, 0)
    for green in greens:
        green.wait()


def test_resize_below_its_items_keeps_them(kind):
    queue = kind()
    for item in range(4):
        queue.put(item)
    queue.resize(2)
    assert queue.full()
    green = spawn(queue.put, 9)
    sleep()
    queue.get()
    queue.get()
    assert (queue.qsize(), queue.putting()) == (2, 1)
    queue.get()
    green.wait()
    assert queue.qsize() == 2


def test_join_waits_until_every_item_is_done(kind):
    queue = kind(1)

    def produce() -> None:
        for item in range(3):
            queue.put(item)

    def consume() -> None:
        while True:
            queue.get()
            sleep()
            done.append(1)
            queue.task_done()

    done: list[int] = []
    queue.join()
    consumer = spawn(consume)
    spawn(produce).wait()
    queue.join()
    assert len(done) == 3
    assert queue.unfinished_tasks == 0
    with pytest.raises(ValueError, match="more often than items"):
        queue.task_done()
    kill(consumer)


def test_join_goes_on_waiting_when_more_came_in_meanwhile(kind):
    queue = kind()
    queue.put(1)
    green = spawn(queue.join)
    sleep()
    queue.get()
    queue.task_done()
    queue.put(2)
    settle()
    assert not green.dead
    queue.task_done()
    green.wait()


def test_an_item_that_came_back_counts_once(kind):
    queue = kind()
    green = spawn(queue.get)
    sleep()
    queue.put(1)
    kill(green)
    assert queue.unfinished_tasks == 1


def test_an_item_that_found_no_room_does_not_count(kind, clock):
    queue = kind(0)
    with pytest.raises(Full):
        queue.put(1, timeout=1)
    with pytest.raises(Full):
        queue.put_nowait(1)
    assert queue.unfinished_tasks == 0


def test_tells_of_itself(kind):
    queue = kind(2)
    queue.put(1)
    assert "maxsize=2 items=1 getting=0 putting=0" in repr(queue)
    assert "maxsize" not in repr(kind())


def test_a_dump_names_the_queue_that_is_waited_for(kind):
    queue = kind(0)
    green = spawn(queue.put, "a long item")
    sleep()
    assert repr(get_hub().parked[green]) == f"put into {queue}"
    kill(green)


# The channel ----------------------------------------------------------------------------------------------


def test_a_channel_is_empty_and_full(kind):
    queue = kind(0)
    assert queue.empty()
    assert queue.full()
    with pytest.raises(Full):
        queue.put_nowait(1)
    with pytest.raises(Empty):
        queue.get_nowait()


def test_put_into_a_channel_waits_until_somebody_gets(kind):
    queue, log = kind(0), []

    def put(item: int) -> None:
        queue.put(item)
        log.append(("put", item))

    for item in range(3):
        spawn(put, item)
    sleep()
    assert (log, queue.putting(), queue.qsize()) == ([], 3, 0)
    assert [queue.get(), queue.get_nowait(), queue.get()] == [0, 1, 2]
    settle()
    assert log == [("put", 0), ("put", 1), ("put", 2)]
    assert queue.unfinished_tasks == 3


def test_put_into_a_channel_with_a_getter_does_not_wait(kind):
    queue = kind(0)
    green = spawn(queue.get)
    sleep()
    queue.put_nowait(1)
    assert green.wait() == 1


def test_a_channel_that_is_resized_takes_items(kind):
    queue = kind(0)
    green = spawn(queue.put, 1)
    sleep()
    queue.resize(1)
    green.wait()
    assert queue.get_nowait() == 1


# What each class adds -------------------------------------------------------------------------------------


def test_queue_is_first_in_first_out():
    queue = Queue()
    for item in (2, 1, 3):
        queue.put(item)
    assert [queue.get() for _ in range(3)] == [2, 1, 3]
    assert LightQueue is Queue


def test_priority_queue_gives_the_smallest():
    queue = PriorityQueue()
    for item in ((2, "b"), (1, "a"), (3, "c")):
        queue.put(item)
    assert [queue.get()[1] for _ in range(3)] == ["a", "b", "c"]


def test_lifo_queue_gives_the_newest():
    queue = LifoQueue()
    for item in (2, 1, 3):
        queue.put(item)
    assert [queue.get() for _ in range(3)] == [3, 1, 2]


def test_a_subclass_may_keep_items_its_own_way():
    class Unique(Queue[int]):
        def _init(self, maxsize):
            self.queue = []

        def _put(self, item):
            if item not in self.queue:
                self.queue.append(item)

        def _get(self):
            return self.queue.pop(0)

    queue = Unique()
    for item in (1, 1, 2):
        queue.put(item)
    assert (queue.get(), queue.get(), queue.empty()) == (1, 2, True)


# Hypothesis -----------------------------------------------------------------------------------------------


class Model:
    """What a queue holds, in the slowest way."""

    def __init__(self, kind: type[Queue[int]], maxsize: int | None) -> None:
        self.kind = kind
        self.maxsize = maxsize
        self.items: list[int] = []

    def has_room(self) -> bool:
        return self.maxsize is None or len(self.items) < self.maxsize

    def pop(self) -> int:
        if self.kind is PriorityQueue:
            return heapq.heappop(self.items)
        return self.items.pop(-1 if self.kind is LifoQueue else 0)

    def push(self, item: int) -> None:
        if self.kind is PriorityQueue:
            heapq.heappush(self.items, item)
        else:
            self.items.append(item)


@pytest.mark.parametrize("kind", KINDS)
@given(
    maxsize=st.sampled_from([None, 0, 1, 2, 5]),
    steps=st.lists(st.one_of(st.integers(0, 99), st.just("get")), max_size=40),
)
def test_nowait_calls_do_what_a_list_would(kind, maxsize, steps):
    queue, model = kind(maxsize), Model(kind, maxsize)
    for step in steps:
        if step == "get":
            if model.items:
                assert queue.get_nowait() == model.pop()
            else:
                with pytest.raises(Empty):
                    queue.get_nowait()
        elif model.has_room():
            queue.put_nowait(step)
            model.push(step)
        else:
            with pytest.raises(Full):
                queue.put_nowait(step)
        assert queue.qsize() == len(model.items)
        assert queue.empty() is (not model.items)
        assert queue.full() is (not model.has_room())


@pytest.mark.parametrize("kind", KINDS)
@given(
    maxsize=st.sampled_from([None, 0, 1, 3]),
    steps=st.lists(st.sampled_from(["put", "get", "run", "kill getter", "kill putter", "grow"]), max_size=40),
)
def test_no_item_is_lost_or_doubled_whoever_is_killed(kind, maxsize, steps):
    queue = kind(maxsize)
    getters, putters = [], []
    put: set[int] = set()  # whose put() returned
    interrupted: set[int] = set()  # whose put() was killed
    got: list[int] = []

    def do_put(item: int) -> None:
        try:
            queue.put(item)
        except BaseException:
            interrupted.add(item)
            raise
        put.add(item)

    for item, step in enumerate(steps):
        if step == "put":
            putters.append(spawn(do_put, item))
        elif step == "get":
            getters.append(spawn(lambda: got.append(queue.get())))
        elif step == "kill getter" and getters:
            kill(getters.pop(0))
        elif step == "kill putter" and putters:
            kill(putters.pop(0))
        elif step == "grow" and queue.maxsize is not None:
            queue.resize(queue.maxsize + 1)
        else:
            sleep()
        # While anybody waits to get the queue is empty; while anybody waits to put it is full.
        assert not queue.getting() or (queue.empty() and not queue.putting())
        assert not queue.putting() or queue.full()
    settle()
    while True:
        try:
            got.append(queue.get_nowait())
        except Empty:
            break
        settle()
    assert len(got) == len(set(got))
    assert put <= set(got) <= put | interrupted
    assert not queue.putting()
    for green in getters:
        kill(green)
