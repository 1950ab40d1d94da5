"""Finalizers that the collector runs where it happens to: in the midst of a lock, of a wait for it, and of the hub."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from threading import Condition

import pytest

from greenserve_hub import sleep, spawn, with_timeout
from greenserve_hub.patching.locks.thread_locks import ThreadLock, ThreadRLock

ROUNDS = 300
WORKERS = 3


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self, finalizer: Callable[[], object]) -> None:
        self.me = self
        self.finalizer = finalizer

    def __del__(self) -> None:
        self.finalizer()


@pytest.fixture(autouse=True)
def eager_collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(7, 2, 2)
    yield
    gc.set_threshold(*before)


def work(lock: AbstractContextManager[object], finalizer: Callable[[], object]) -> int:
    """How many rounds were made by all who share `lock`."""
    rounds = 0

    def worker() -> None:
        nonlocal rounds
        for _ in range(ROUNDS):
            with lock:
                Cycle(finalizer)
                sleep(0)
            rounds += 1

    for green in [spawn(worker) for _ in range(WORKERS)]:
        with_timeout(60, green.wait)
    return rounds


@pytest.mark.parametrize("make", [ThreadRLock, lambda: Condition(ThreadRLock())], ids=["RLock", "Condition"])
def test_a_finalizer_takes_the_lock_that_it_may_come_in_the_midst_of(make: Callable[[], ThreadRLock]):
    lock = make()
    finalized = 0

    def finalizer() -> None:
        nonlocal finalized
        with lock:
            finalized += 1

    assert work(lock, finalizer) == ROUNDS * WORKERS
    gc.collect()
    assert finalized == ROUNDS * WORKERS


def test_a_finalizer_tries_a_lock_and_waits_for_another():
    lock, other = ThreadLock(), ThreadLock()
    finalized = 0

    def finalizer() -> None:
        nonlocal finalized
        if lock.acquire(False):
            lock.release()
        with other:
            finalized += 1

    def holder() -> None:
        for _ in range(ROUNDS):
            with other:
                sleep(0)

    holding = spawn(holder)
    assert work(lock, finalizer) == ROUNDS * WORKERS
    holding.wait()
    gc.collect()
    assert finalized == ROUNDS * WORKERS


def test_a_finalizer_logs_while_others_log():
    told: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sleep(0)  # as a stream that is full
            told.append(record.getMessage())

    handler = Handler()
    handler.lock = ThreadRLock()
    logger = logging.Logger("of the test")
    logger.addHandler(handler)

    def finalizer() -> None:
        logger.info("ended")

    assert work(ThreadLock(), finalizer) == ROUNDS * WORKERS
    gc.collect()
    assert told == ["ended"] * ROUNDS * WORKERS
