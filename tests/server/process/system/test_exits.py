"""exits: why a process has ended, in words."""

from __future__ import annotations

import os
import signal

import pytest

from greenserve.process.system.exits import how_it_ended, kills_for_memory


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
