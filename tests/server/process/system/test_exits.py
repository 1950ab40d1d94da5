"""exits: why a process has ended, in words."""

from __future__ import annotations

import os
import signal

import pytest

from greenserve.process.system.exits import how_it_ended, kills_for_memory, reap_strangers


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with exit code 0"),
        (3 << 8, "ended with exit code 3"),
        (signal.SIGSEGV, "was killed by SIGSEGV"),
        (signal.SIGABRT | 0x80, "was killed by SIGABRT"),  # with a core dump
        (40, "was killed by signal 40"),
        (
            signal.SIGKILL,
            "was killed by SIGKILL, by somebody or, if memory was short, by the kernel (see dmesg)",
        ),
    ],
)
def test_words(status, words):
    assert how_it_ended(status) == words


def test_a_kill_for_want_of_memory_is_named():
    assert "memory of the container is used up (OOM)" in how_it_ended(signal.SIGKILL, True)
    assert how_it_ended(signal.SIGTERM, True) == "was killed by SIGTERM"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_real_process(number):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pause()
    os.kill(child, number)
    assert how_it_ended(os.waitpid(child, 0)[1]).startswith(f"was killed by {signal.Signals(number).name}")


def test_the_kernel_counts_its_kills(tmp_path):
    events = tmp_path / "memory.events"
    assert kills_for_memory(events) == 0
    events.write_text("low 0\nhigh 0\nmax 12\noom 2\noom_kill 3\noom_group_kill 0\n")
    assert kills_for_memory(events) == 3
    events.write_text("nonsense\n")
    assert kills_for_memory(events) == 0


def test_process_1_reaps_what_others_have_left_behind_but_not_its_own():
    """A child stands in for process 1, so that no other child of this process is waited for."""
    child = os.fork()
    if child == 0:
        strangers = [os.fork() or os._exit(0) for _ in range(3)]
        for pid in strangers:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        reap_strangers(set())
        own = os.fork() or os._exit(7)
        os.waitid(os.P_PID, own, os.WEXITED | os.WNOWAIT)
        reap_strangers({own})
        status = os.waitpid(own, 0)[1]  # it is still there
        reap_strangers(set())  # nobody is left
        os._exit(os.waitstatus_to_exitcode(status))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
