"""`python -m tests.migration.eventlets_own_tests [MODULE...]`: eventlet's tests, unmodified, on greenserve.

Each of their modules runs in a process of its own, where the hook of greenserve_eventlet gives `import eventlet`. What
fails is compared with eventlets_own_tests.toml, which has the reason of each: the script ends with 1 if another test
fails, or if one that is listed there passes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.migration.kit.eventlets_source import unpack
from tests.migration.kit.installing import Installed, installed

LIST = Path(__file__).with_suffix(".toml")
# They import what their tests are about; without it they would skip them.
NEEDED = ("pytest>=8", "pyzmq", "pyOpenSSL", "dnspython", "aiohttp")
# Not tests, and tests of databases that are not here.
LEFT_OUT = {"mock", "parse_results", "conftest", "__init__", "mysqldb_test", "patcher_psycopg_test"}
SECONDS = 300  # for one module
# A test is named as `module::Class::test`, and passes, fails or is skipped.
Outcomes = dict[str, str]


def main() -> int:
    """Run them and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.migration.eventlets_own_tests")
    parser.add_argument("--checkout", type=Path, help="eventlet's source, instead of its sdist from PyPI")
    parser.add_argument("--verbose", action="store_true", help="show what pytest prints")
    parser.add_argument("modules", nargs="*", help="of its tests; all, unless given")
    options = parser.parse_args()
    known = tomllib.loads(LIST.read_text())
    with installed(*NEEDED) as here:
        suite = here.folder / "suite"
        suite.mkdir()
        _unpack(here, options.checkout, suite)
        modules = options.modules or sorted(
            path.stem for path in (suite / "tests").glob("*test*.py") if path.stem not in LEFT_OUT
        )
        outcomes: Outcomes = {}
        with ThreadPoolExecutor(2) as pool:
            for module, found in zip(
                modules, pool.map(lambda one: _run(here, suite, one, options.verbose), modules), strict=True
            ):
                outcomes |= found
                print(f"{module}: {list(found.values()).count('passed')} of {len(found)}", flush=True)
    return _judge(outcomes, known, set(modules))


def _unpack(here: Installed, checkout: Path | None, suite: Path) -> None:
    # Only the tests: beside their package, `import eventlet` would find eventlet itself.
    if checkout is not None:
        (suite / "tests").symlink_to((checkout / "tests").resolve())
        return
    unpack(here, "tests", suite)


def _run(here: Installed, suite: Path, module: str, verbose: bool) -> Outcomes:
    report = here.folder / f"{module}.xml"
    command = [
        here.python,
        "-m",
        "greenserve_eventlet",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
    ]
    environ = here.environ(EVENTLET_TESTS="1", PYTHONDONTWRITEBYTECODE="1")
    if module == "asyncio_test":
        environ["EVENTLET_HUB"] = "asyncio"  # without it the module skips itself
    try:
        subprocess.run(
            [*command, f"--junitxml={report}", f"tests/{module}.py"],
            cwd=suite,
            env=environ,
            stdout=None if verbose else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {f"{module}::all": "failed"}
    found = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '').removeprefix('tests.').replace('.', '::')}::{case.get('name')}"
        kinds = {child.tag for child in case}
        found[name] = (
            "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        )
    return found


def _judge(outcomes: Outcomes, known: dict[str, dict[str, str]], modules: set[str]) -> int:
    listed = {f"{module}::{name}" for module, tests in known.items() if module in modules for name in tests}
    private = tuple(name.removesuffix("*") for name in listed if name.endswith("::*"))  # whole modules
    failed = {
        name for name, outcome in outcomes.items() if outcome == "failed" and not name.startswith(private)
    }
    passed = {name for name, outcome in outcomes.items() if outcome == "passed"}
    for name in sorted(failed - listed):
        print(f"fails, and is not in {LIST.name}: {name}")
    for name in sorted(listed & passed):
        print(f"passes, and is still in {LIST.name}: {name}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(failed & listed)} of them known")
    return int(bool(failed - listed or listed & passed))


if __name__ == "__main__":
    sys.exit(main())
