from __future__ import annotations

import gc
import weakref

from greenserve_hub.greenthreads.greenthreads import getcurrent, sleep
from greenserve_hub.greenthreads.pools import GreenPool
from greenserve_hub.greenthreads.workers import IDLE_WORKERS
from greenserve_hub.loop.current import get_hub


def test_jobs_without_a_result_run_on_the_same_workers_again():
    pool, seen = GreenPool(4), set()
    for _ in range(10):
        for _ in range(4):
            pool.spawn_n(lambda: seen.add(getcurrent()))
        pool.waitall()
    assert len(seen) == 4
    assert {worker.generation for worker in seen} == {10}


def test_no_more_workers_are_kept_than_the_bound():
    pool = GreenPool(IDLE_WORKERS + 100)
    for _ in range(pool.size):
        pool.spawn_n(sleep)
    pool.waitall()
    assert len(pool._idle) == IDLE_WORKERS


def test_an_idle_worker_waits_for_nothing_and_holds_nothing():
    class Thing:
        pass

    pool, thing = GreenPool(), Thing()
    gone = weakref.ref(thing)
    pool.spawn_n(lambda _: None, thing)
    del thing
    pool.waitall()
    sleep()
    assert gone() is None
    assert not get_hub().parked


def test_a_pool_that_nobody_holds_takes_its_workers_along():
    pool = GreenPool()
    for _ in range(5):
        pool.spawn_n(sleep)
    pool.waitall()
    gone = [weakref.ref(thing) for thing in (pool, *pool._idle)]
    assert len(gone) == 6
    del pool
    sleep()
    gc.collect()
    assert [thing() for thing in gone] == [None] * 6


def test_a_pool_that_nobody_holds_lets_its_jobs_end():
    done = []
    pool = GreenPool()
    pool.spawn_n(lambda: (sleep(), done.append(1)))
    gone = weakref.ref(pool)
    del pool
    for _ in range(3):
        sleep()
    gc.collect()
    assert done == [1]
    assert gone() is None
