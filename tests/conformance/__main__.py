"""`python -m tests.conformance`: CPython's own tests, patched by greenserve and its peers (README.md beside this file).

Parses the command line, runs the modules for each flavour, saves and prints what became of every test. Ends with 1 if
greenserve does not pass a test that passes unpatched and known.toml does not say why, or if known.toml is out of date.
"""

import argparse
import signal
import sys
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
    return chosen


class Session:
    """The runs on one Python: what is saved of them, and what is added now."""

    def __init__(self, environment, folder):
        self.environment = environment
        self.folder = folder / environment.version
        self.started = time.monotonic()

    def path(self, flavour):
        return self.folder / f"{flavour}.jsonl"

    def run(self, flavour, modules):
        """Run the modules, and save them beside those that were there."""
        base = None if flavour == BASE else Results.load(self.path(BASE))
        results = Runner(self.environment, flavour, base, self.tell).run(modules)
        merged = Results.load(self.path(flavour)).modules | results.modules
        order = [*(one for one in catalogue.MODULES if one in merged), *merged]
        Results({one: merged[one] for one in order}, results.version).save(self.path(flavour))
        return results

    def tell(self, flavour, module, outcomes):
        counts = Results({module: outcomes}).counts(module)
        seconds = time.monotonic() - self.started
        print(f"{seconds:5.0f} s  {flavour:10}  {module:40} {tables.cell(*counts)}", flush=True)


def run(environment, arguments):
    """Run what was asked for, and unpatched what there is nothing saved of; the exit code."""
    session = Session(environment, arguments.results)
    saved = Results.load(session.path(BASE)).modules
    first = (
        environment.modules
        if BASE in arguments.only
        else [one for one in environment.modules if one not in saved]
    )
    results = {BASE: session.run(BASE, first)} if first else {}
    for flavour in arguments.only:
        if flavour in environment.missing:
            print(f"without {flavour}: {environment.missing[flavour]}")
        elif flavour != BASE:
            results[flavour] = session.run(flavour, environment.modules)
    base = results[BASE] = Results(
        {one: Results.load(session.path(BASE)).modules[one] for one in environment.modules}
    )
    print("\n" + tables.text(results))
    if OURS not in results:
        return int(OURS in arguments.only)
    unknown, outdated = known.surprises(results[OURS], base, known.load(environment.minor))
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
