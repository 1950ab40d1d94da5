"""Locks, conditions and queues that were made before the patch, with OS threads that wait in them."""

from __future__ import annotations

import textwrap

from tests.support.programs.patched import run

# Whatever an OS thread waits in when the patch comes: how it waits, in which condition, and what ends that.
_WAITS = """
import concurrent.futures, logging, logging.handlers, queue, threading, time

class Case:
    def __init__(self, wait, condition, end):
        self.condition, self.end = condition, end
        self.thread = threading.Thread(target=wait, daemon=True)
        self.thread.start()
        while not condition._waiters:
            time.sleep(0.001)

def make():
    empty, sorted_, full, undone = queue.Queue(), queue.PriorityQueue(), queue.Queue(1), queue.Queue()
    full.put(1)
    undone.put(1)
    event, tokens, barrier = threading.Event(), threading.Semaphore(0), threading.Barrier(2)
    future, timer = concurrent.futures.Future(), threading.Timer(1000, int)
    own, shared = threading.Condition(), threading.Condition(threading.Lock())
    beside = threading.Condition(shared._lock)

    def wait_for(condition):
        with condition:
            condition.wait()

    def notify(condition, *others):
        with condition:
            for one in (condition, *others):
                one.notify_all()

    return {
        "get": Case(empty.get, empty.not_empty, lambda: empty.put(1)),
        "get of a priority queue": Case(sorted_.get, sorted_.not_empty, lambda: sorted_.put(1)),
        "put": Case(lambda: full.put(2), full.not_full, full.get),
        "join": Case(undone.join, undone.all_tasks_done, lambda: (undone.get(), undone.task_done())),
        "event": Case(event.wait, event._cond, event.set),
        "semaphore": Case(tokens.acquire, tokens._cond, tokens.release),
        "barrier": Case(barrier.wait, barrier._cond, barrier.wait),
        "future": Case(future.result, future._condition, lambda: future.set_result(1)),
        "timer": Case(timer.run, timer.finished._cond, timer.cancel),
        "condition": Case(lambda: wait_for(own), own, lambda: notify(own)),
        "beside another": Case(lambda: wait_for(shared), shared, lambda: notify(beside, shared)),
    }
"""


def test_what_os_threads_wait_in_stays_whole():
    script = """
    cases = make()
    greenserve.monkey_patch()
    for name, case in cases.items():
        try:
            case.end()
            case.thread.join(10)
            assert not case.thread.is_alive(), "it waits still"
        except Exception as error:
            print(f"{name}: {error!r}")
    """
    said = run(script, before=_WAITS, patch=False, filters=("ignore::RuntimeWarning",))
    assert said == ""


def test_green_threads_wait_beside_an_os_thread_and_others_go_on():
    script = """
    items, got = queue.Queue(), []
    Case(lambda: got.append(items.get()), items.not_empty, None)
    greenserve.monkey_patch()
    greens = [greenserve.spawn(lambda: got.append(items.get())) for _ in range(2)]
    greenserve.sleep()
    for item in range(3):
        items.put(item)
        greenserve.sleep()
    for green in greens:
        green.wait()
    while len(got) < 3:
        greenserve.sleep(0.001)
    print(sorted(got))
    """
    said = run(script, before=_WAITS, patch=False, filters=("ignore::RuntimeWarning",))
    assert said == "[0, 1, 2]\n"


def test_a_condition_that_stays_is_told_by_name_and_others_are_replaced():
    script = """
    import warnings
    busy, idle = queue.Queue(), queue.Queue()
    Case(busy.get, busy.not_empty, None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        report = greenserve.monkey_patch()
    assert report.left == ("queue.Queue.mutex",), report.left
    assert "stay native: queue.Queue.mutex" in str(told[0].message)
    conditions = "not_empty", "not_full", "all_tasks_done"
    assert {getattr(busy, name)._lock for name in conditions} == {busy.mutex}
    assert {getattr(idle, name)._lock for name in conditions} == {idle.mutex}
    print(type(busy.mutex) is threading.Lock, type(idle.mutex) is threading.Lock)
    """
    said = run(script, before=_WAITS, patch=False)
    assert said == "False True\n"


def test_what_holds_a_method_for_good_is_told_by_name():
    script = """
    import functools
    lock = threading.Lock()
    reader = functools.partial(lock.acquire, timeout=1)
    report = greenserve.monkey_patch()
    print(report.left, reader(), type(lock) is threading.Lock)
    """
    said = run(script, before=_WAITS, patch=False, filters=("ignore::greenserve.MonkeyPatchWarning",))
    assert said == "('functools.partial.func',) True True\n"


def test_a_queue_listener_that_runs_already():
    script = """
    records, told = queue.Queue(), []

    class Telling(logging.Handler):
        def emit(self, record):
            told.append(record.getMessage())

    listener = logging.handlers.QueueListener(records, Telling())
    listener.start()
    while not records.not_empty._waiters:
        time.sleep(0.001)
    greenserve.monkey_patch()
    log = logging.getLogger("early")
    log.addHandler(logging.handlers.QueueHandler(records))
    log.error("one")
    greenserve.spawn(log.error, "two").wait()
    listener.stop()
    print(told)
    """
    said = run(script, before=textwrap.dedent(_WAITS), patch=False, filters=("ignore::RuntimeWarning",))
    assert said == "['one', 'two']\n"
