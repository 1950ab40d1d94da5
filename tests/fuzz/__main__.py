"""Fuzzes with coverage: `make fuzz TIME=10m`, or `python -m tests.fuzz [--time T] [TARGET ...]`.

atheris watches which lines of greenserve an input reaches and goes on from those that reach new ones. Each target runs
in a process of its own, for libFuzzer ends the process. What it finds stays in fuzz-results/, where the next run goes
on; `--keep` writes the fewest inputs that reach the same into tests/fuzz/corpus, which the tests replay. An input that
breaks a promise, or takes too long, is written to fuzz-results/TARGET-crash-… and makes the exit code 1: copy it to
tests/fuzz/corpus/TARGET when what it found is mended.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

Step = tuple[str, int, int]

CORPUS: Final = Path(__file__).with_name("corpus")
RESULTS: Final = Path("fuzz-results")
LONGEST: Final = 4096  # bytes of an input
SLOWEST: Final = 5  # seconds for one input
KEPT: Final = 60  # files of a corpus that are kept


def main() -> int:
    """Fuzz each target for its share of the time; 1 if any input broke a promise."""
    if sys.argv[1:2] == ["--child"]:
        return _fuzz(sys.argv[2], sys.argv[3:])
    from tests.fuzz.targets import TARGETS  # not before: what a child imports must be instrumented

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default"
    )
    parser.add_argument(
        "--time", default="1m", help="for all together, such as 90, 90s, 20m or 8h; 1m by default"
    )
    parser.add_argument("--keep", action="store_true", help="put what was found into the corpus of the tests")
    options = parser.parse_args()
    targets = options.targets or list(TARGETS)
    if wrong := [name for name in targets if name not in TARGETS]:
        parser.error(f"unknown target {wrong[0]}; there are {', '.join(TARGETS)}")
    seconds = max(1, _seconds(parser, options.time) // len(targets))
    return max(_run(name, seconds, options.keep) for name in targets)


def _seconds(parser: argparse.ArgumentParser, text: str) -> int:
    match = re.fullmatch(r"(\d+)([smh]?)", text)
    if match is None:
        parser.error(f"--time {text}: give a time such as 90, 90s, 20m or 8h")
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def _run(name: str, seconds: int, keep: bool) -> int:
    found = RESULTS / name
    found.mkdir(parents=True, exist_ok=True)
    checked_in = CORPUS / name
    checked_in.mkdir(parents=True, exist_ok=True)
    print(f"== {name}: {seconds} s", flush=True)
    flags = [f"-max_total_time={seconds}", f"-artifact_prefix={RESULTS / name}-", "-print_final_stats=1"]
    code = _child(name, flags, found, checked_in)
    if keep and code == 0:
        from tests.fuzz.targets import TARGETS

        _minimise(TARGETS[name], found, checked_in)
    return 1 if code else 0


def _child(name: str, flags: list[str], *folders: Path) -> int:
    limits = [f"-max_len={LONGEST}", f"-timeout={SLOWEST}", "-rss_limit_mb=2048"]
    command = [sys.executable, "-m", "tests.fuzz", "--child", name, *limits, *flags, *map(str, folders)]
    return subprocess.run(command, check=False).returncode


def _minimise(target: Callable[[bytes], None], found: Path, checked_in: Path) -> None:
    """Keep the smallest inputs that together go every way that all of them go.

    libFuzzer's own merge starts its program anew by a name that a Python program has not.
    """
    by_hand = [path for path in checked_in.iterdir() if not path.name.startswith("found-")]
    for path in set(checked_in.iterdir()).difference(by_hand):
        path.rename(found / path.name)
    known: set[Step] = set()
    for path in by_hand:
        known |= _steps(target, path.read_bytes())
    number = 0
    for data in sorted({path.read_bytes() for path in found.iterdir()}, key=lambda data: (len(data), data)):
        new = _steps(target, data) - known
        if new and number < KEPT:
            known |= new
            (checked_in / f"found-{number:02}").write_bytes(data)
            number += 1


def _steps(target: Callable[[bytes], None], data: bytes) -> set[Step]:
    """From which line of greenserve to which an input goes."""
    steps: set[Step] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if event == "call":
            if "/greenserve/" not in frame.f_code.co_filename:
                return None
            last[frame] = 0
        elif event == "line":
            steps.add((frame.f_code.co_filename, last[frame], frame.f_lineno))
            last[frame] = frame.f_lineno
        return trace

    last: dict[FrameType, int] = {}
    sys.settrace(trace)
    try:
        target(data)
    finally:
        sys.settrace(None)
    return steps


def _fuzz(name: str, flags: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=["greenserve"]):
        from tests.fuzz import targets

    words = RESULTS / f"{name}.dict"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in targets.WORDS.get(name, ())))
    target: Any = targets.TARGETS[name]
    atheris.Setup([sys.argv[0], f"-dict={words}", *flags], lambda data: targets.timed(target, data))
    atheris.Fuzz()
    return 0


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main())
