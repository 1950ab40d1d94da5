"""threads: the pool that everybody shares."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from tests.support.times import PATIENCE

from greenserve_hub.greenthreads.greenthreads import spawn
from greenserve_hub.osthreads import threads


@pytest.fixture(autouse=True)
def size() -> Iterator[None]:
    before = threads.get_size()
    yield
    threads.set_size(before)


def test_twenty_by_default() -> None:
    assert threads.get_size() == threads.DEFAULT_SIZE == 20


def test_what_blocks_an_os_thread_does_not_block_the_hub() -> None:
    meeting = threading.Barrier(20)  # which nobody passes before all are there
    calls = [spawn(threads.execute, meeting.wait, PATIENCE) for _ in range(20)]
    assert sorted(call.wait() for call in calls) == list(range(20))


def test_size_0_calls_on_the_spot() -> None:
    threads.set_size(0)
    assert spawn(threads.execute, threading.get_ident).wait() == threading.get_ident()


def test_a_program_that_ends_while_a_call_runs_does_not_hang() -> None:
    program = (
        "import time; from greenserve_hub import *; from greenserve_hub import threads\n"
        "spawn(threads.execute, time.sleep, 1000); sleep(0.05); print('end')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == ("end\n", "")
