"""`python -m tests.conformance`: CPython's own tests, patched by greenserve and its peers (README.md beside this file).

Parses the command line, runs the modules for each flavour, saves and prints what became of every test. Ends with 1 if
greenserve does not pass a test that passes unpatched and known.toml does not say why, or if known.toml is out of date.
"""

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

from tests.conformance import catalogue, install, known, processes, tables
from tests.conformance.results import Results
from tests.conformance.runs import Runner

BASE, OURS = install.FLAVOURS[:2]


def parse(argv):
    parser = argparse.ArgumentParser(
        "python -m tests.conformance", description="CPython's own tests, patched"
    )
    parser.add_argument("modules", nargs="*", help="such as socket, test_ssl, test_asyncio (all)")
    parser.add_argument("--python", default=sys.executable, help="whose tests, and who runs them (this one)")
    parser.add_argument("--only", type=flavours, default=install.FLAVOURS, help=",".join(install.FLAVOURS))
    parser.add_argument("--report", action="store_true", help="run nothing: print what is saved")
    parser.add_argument(
        "--write", action="store_true", help="run nothing: write the saved table into hub/README.md"
    )
    parser.add_argument("--results", type=Path, default=install.ROOT / "conformance-results", help="folder")
    return parser.parse_args(argv)


def flavours(text):
    chosen = text.split(",")
    if unknown := set(chosen) - set(install.FLAVOURS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(install.FLAVOURS)}")
    return [
        one for one in install.FLAVOURS if one in chosen
    ]  # unpatched first: the others are measured by it


class Session:
    """The runs on one Python: what is saved of them, and what is added now, module by module."""

    def __init__(self, environment, folder):
        self.environment = environment
        self.folder = folder / environment.version
        self.results = {one: Results.load(self.path(one)) for one in install.FLAVOURS}
        self.started = time.monotonic()
        self.lock = threading.Lock()

    def path(self, flavour):
        return self.folder / f"{flavour}.jsonl"

    def run(self, flavour, modules):
        self.results[flavour].version = self.environment.versions[flavour]
        base = None if flavour == BASE else self.results[BASE]
        Runner(self.environment, flavour, base, self.ended).run(modules)

    def ended(self, flavour, module, outcomes):
        """In an OS thread of the runner: keep and tell what became of a module."""
        with self.lock:
            self.results[flavour].modules[module] = outcomes
            self.results[flavour].save(self.path(flavour))
            counts = tables.cell(*self.results[flavour].counts(module))
            print(f"{time.monotonic() - self.started:5.0f} s  {flavour:10}  {module:40} {counts}", flush=True)

    def of(self, flavour):
        """The results of the modules that this environment has."""
        found = self.results[flavour]
        return Results({one: found.modules[one] for one in self.environment.modules}, found.version)


def run(environment, arguments):
    """Run what was asked for, and unpatched what there is nothing saved of; the exit code."""
    session = Session(environment, arguments.results)
    modules, wanted = environment.modules, [one for one in arguments.only if one not in environment.missing]
    for flavour, reason in environment.missing.items():
        print(f"without {flavour}: {reason}")
    if BASE not in wanted:
        session.run(BASE, [one for one in modules if one not in session.results[BASE].modules])
    for flavour in wanted:
        session.run(flavour, modules)
    results = {flavour: session.of(flavour) for flavour in dict.fromkeys([BASE, *wanted])}
    print("\n" + tables.text(results))
    if OURS not in results:
        return int(OURS in arguments.only)
    unknown, outdated = known.surprises(results[OURS], results[BASE], known.load(environment.minor))
    for one in unknown:
        print(f"\n{one.outcome}: {one.test}\n{one.message.strip()}")
    for line in outdated:
        print(f"known.toml is out of date: {line}")
    return int(bool(unknown or outdated))


def saved(folder):
    """{version of Python: {flavour: Results}}."""
    found = {}
    for path in sorted(folder.glob("3.*/*.jsonl")):
        found.setdefault(path.parent.name, {})[path.stem] = Results.load(path)
    return found


def main(argv=None):
    arguments = parse(argv)
    if arguments.report or arguments.write:
        results = saved(arguments.results)
        if not results:
            print(f"no results in {arguments.results}", file=sys.stderr)
            return 2
        if arguments.write:
            tables.write(tables.markdown(results))
        else:
            print(tables.markdown(results))
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, processes.stop)
    try:
        environment = install.prepare(arguments.python, catalogue.chosen(arguments.modules))
    except install.Unusable as error:
        print(error, file=sys.stderr)
        return 2
    return run(environment, arguments)


if __name__ == "__main__":
    sys.exit(main())
