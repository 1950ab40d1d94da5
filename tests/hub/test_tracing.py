"""Tracing where green threads switch: coverage, as its users run it, counts every line once it has run."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import coverage
import pytest
from tests.support.programs.commands import run_python

# Each function waits twice, is called by something else, and is run by three at once.
PROGRAM = """
    import sys
    import greenserve
    if "patched" in sys.argv:
        greenserve.monkey_patch()
    import threading
    from greenserve import GreenPool, sleep, spawn
    def in_spawned():
        sleep(0.001)
        given = deeper(1)
        sleep(0.001)
        return given
    def in_pool():
        sleep(0.001)
        given = deeper(2)
        sleep(0.001)
        return given
    def in_worker():
        sleep(0.001)
        given = deeper(3)
        sleep(0.001)
        return given
    def in_thread():
        sleep(0.001)
        given = deeper(4)
        sleep(0.001)
        return given
    def deeper(value):
        sleep(0.001)
        return value
    pool = GreenPool(3)
    todo = [pool.spawn(in_pool) for _ in range(3)] + [spawn(in_spawned) for _ in range(3)]
    if "patched" in sys.argv:
        threads = [threading.Thread(target=in_thread) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for green in todo:
        green.wait()
    for _ in range(6):
        pool.spawn_n(in_worker)
    pool.waitall()
"""
OF_THREADS = {4, *range(23, 27), *range(33, 38)}  # lines that run in a patched program only
# C's core is the usual one before Python 3.14, sys.monitoring's from then on.
CORES = [
    ("ctrace", "thread"),
    ("ctrace", "thread,greenlet"),
    ("ctrace", "greenlet"),
    ("pytrace", "thread"),
    pytest.param(
        "sysmon",
        "thread",
        marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 brought sys.monitoring"),
    ),
]


def missed(folder: Path, core: str, concurrency: str, *arguments: str) -> set[int]:
    """The lines of PROGRAM that coverage, begun before it, has not seen run."""
    program, rc = folder / "program.py", folder / "rc"
    program.write_text(textwrap.dedent(PROGRAM).lstrip())
    rc.write_text(f"[run]\nconcurrency = {concurrency}\n")
    command = ("-m", "coverage", "run", "--rcfile=rc", "--include=program.py", "program.py")
    done = run_python(*command, *arguments, folder=folder, COVERAGE_CORE=core)
    assert done.returncode == 0, done.stdout + done.stderr
    found = coverage.Coverage(data_file=folder / ".coverage", config_file=False)
    found.load()
    return set(found.analysis2(str(program))[3])


@pytest.mark.parametrize(("core", "concurrency"), CORES)
def test_coverage_counts_each_line_of_a_patched_program(tmp_path, core, concurrency):
    assert missed(tmp_path, core, concurrency, "patched") == set()


@pytest.mark.parametrize("concurrency", ["thread", "greenlet"])
def test_coverage_counts_each_line_of_green_threads_where_nothing_is_patched(tmp_path, concurrency):
    assert missed(tmp_path, "ctrace", concurrency) == OF_THREADS
