"""`python -m greenserve.patched`: programs that nobody edits."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.programs.commands import run_python

PROGRAM = """\
import sys, threading
from greenserve import is_monkey_patched
import neighbour
meeting = threading.Barrier(100)
threads = [threading.Thread(target=meeting.wait, args=(30,)) for _ in range(100)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(__name__, sys.argv[1:], is_monkey_patched("thread"), not meeting.broken)
"""


def patched(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "greenserve.patched", *arguments, folder=folder)


def test_a_script_by_its_path(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "program.py").write_text(PROGRAM)
    (tmp_path / "sub" / "neighbour.py").write_text("")
    done = patched(tmp_path, "sub/program.py", "-x", "y")
    assert (done.stdout, done.stderr, done.returncode) == ("__main__ ['-x', 'y'] True True\n", "", 0)


def test_a_module_by_its_name(tmp_path: Path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "neighbour.py").write_text("")
    done = patched(tmp_path, "-m", "program", "-m")
    assert (done.stdout, done.stderr, done.returncode) == ("__main__ ['-m'] True True\n", "", 0)


def test_its_end_is_the_programs(tmp_path: Path):
    (tmp_path / "ends.py").write_text("import sys; sys.exit(7)\n")
    assert patched(tmp_path, "ends.py").returncode == 7
    (tmp_path / "fails.py").write_text("def f():\n    1 / 0\nf()\n")
    done = patched(tmp_path, "fails.py")
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_without_a_program():
    done = patched(Path(), "-m")
    assert done.returncode == 2
    assert done.stderr == "usage: python -m greenserve.patched [-m MODULE | SCRIPT] [ARGUMENTS...]\n"
    assert patched(Path(), "--help").returncode == 0
    done = patched(Path(), "nowhere.py")
    assert done.returncode == 2
    assert done.stderr == "greenserve.patched: can't open nowhere.py: No such file or directory\n"
