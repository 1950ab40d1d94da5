"""`python -m tests.conformance`: CPython's own tests, patched, and Autobahn's suite (README.md beside this file).

Parses the command line, runs the modules for each flavour, saves and prints what became of every test; then Autobahn's
WebSocket suite against the server. Ends with 1 if greenserve does not pass a test that passes unpatched and known.toml
does not say why, if known.toml is out of date, or if a case of the suite fails.
"""

import argparse
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.conformance import autobahn_report, catalogue, install, known, processes, tables
from tests.conformance.results import Results
from tests.conformance.runs import Runner

BASE, OURS = install.FLAVOURS[:2]
AUTOBAHN = "autobahn"
PARTS = [*install.FLAVOURS, AUTOBAHN]


def parse(argv):
    parser = argparse.ArgumentParser(
        "python -m tests.conformance", description="CPython's own tests, patched; Autobahn's suite"
    )
    parser.add_argument(
        "modules", nargs="*", help="such as socket, test_ssl, test_asyncio (all, and Autobahn's suite)"
    )
    parser.add_argument("--python", default=sys.executable, help="whose tests, and who runs them (this one)")
    parser.add_argument("--only", type=parts, help=",".join(PARTS))
    parser.add_argument("--peers", action="store_true", help="Autobahn's suite against other servers too")
    parser.add_argument("--report", action="store_true", help="run nothing: print what is saved")
    parser.add_argument(
        "--write",
        action="store_true",
        help="run nothing: write the saved tables into RESULTS.md and the README",
    )
    parser.add_argument("--results", type=Path, default=install.ROOT / "conformance-results", help="folder")
    arguments = parser.parse_args(argv)
    if arguments.only is None:
        arguments.only = install.FLAVOURS if arguments.modules else PARTS
    return arguments


def parts(text):
    chosen = text.split(",")
    if unknown := set(chosen) - set(PARTS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(PARTS)}")
    return [one for one in PARTS if one in chosen]  # unpatched first: the others are measured by it


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
    modules = environment.modules
    wanted = [one for one in arguments.only if one != AUTOBAHN and one not in environment.missing]
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


def autobahn(python, *arguments):
    """The suite, in the Python that has greenserve; the exit code, 2 where the suite can't run."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    process = subprocess.Popen([python, "-m", "tests.conformance.autobahn", *arguments], cwd=install.ROOT)
    try:
        return process.wait()
    finally:
        process.terminate()  # it ends what it has started
        process.wait()


def report(arguments):
    """What is saved, printed or written; the exit code."""
    results = saved(arguments.results)
    of_suite = autobahn_report.saved(arguments.results)
    if not results and not of_suite:
        print(f"no results in {arguments.results}", file=sys.stderr)
        return 2
    for found, module in ((results, tables), (of_suite, autobahn_report)):
        if found and arguments.write:
            module.write(module.markdown(found))
        elif found:
            print(module.markdown(found) + "\n")
    return 0


def main(argv=None):
    arguments = parse(argv)
    if arguments.report or arguments.write:
        return report(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, processes.stop)
    code = 0
    try:
        if arguments.only == [AUTOBAHN]:
            inner = install.environment_of(arguments.python)
        else:
            environment = install.prepare(arguments.python, catalogue.chosen(arguments.modules))
            code, inner = run(environment, arguments), environment.python
    except install.Unusable as error:
        print(error, file=sys.stderr)
        return 2
    if AUTOBAHN in arguments.only:
        peers = ["--peers"] if arguments.peers else []
        of_suite = autobahn(inner, "--results", str(arguments.results.absolute()), *peers)
        # Who asks for everything may lack the suite, which is said; who asks for it alone may not.
        code = code or (of_suite if of_suite != 2 or arguments.only == [AUTOBAHN] else 0)
    return code


if __name__ == "__main__":
    sys.exit(main())
