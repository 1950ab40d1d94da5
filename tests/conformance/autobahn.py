"""`python -m tests.conformance.autobahn`: Autobahn's WebSocket suite against greenserve, and its peers where asked.

The suite is a tool outside this repository (../shared/tools/autobahn, which needs a python2.7). Servers and their flags
are those of the benchmarks (tests/bench/peers.py): an echo, compression as each has it by default, and limits wide
enough for 16 MiB messages and 65,536 fragments. Ends with 1 if a case of greenserve's failed, with 2 if the suite can't
run. Started by `python -m tests.conformance --only autobahn` in the Python that has greenserve; `--peers` installs the
others there.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.bench import install, machine, servers
from tests.bench.peers import PEERS, Needs
from tests.conformance import autobahn_report
from tests.conformance.autobahn_report import OURS, SERVERS, Report

ROOT = Path(__file__).parents[2]
TOOL = ROOT.parent / "shared" / "tools" / "autobahn"
NEEDS = Needs(websockets=64, fragments=1 << 17)
SECONDS = 3600  # for all cases against one server; the slowest peer takes a quarter of it
REPORTS = re.compile(r"reports in (\S+)$", re.MULTILINE)


class Unusable(Exception):
    """The suite can't run on this machine; the text says why."""


class SuiteFailed(Exception):
    """It ran, and came to no report."""


def suite(url, cases):
    """The text of its index.json."""
    if not TOOL.exists():
        raise Unusable(f"{TOOL} is not there: the suite is a tool outside this repository")
    command = [str(TOOL), url, cases]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise SuiteFailed(f"no end after {SECONDS} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode == 2:
        raise Unusable(said.strip())
    if not (found := REPORTS.search(said)):
        raise SuiteFailed(said.strip()[-2000:])
    return Path(found[1], "index.json").read_text()


def run(name, cases):
    """The server's Report."""
    peer = PEERS[name]
    with servers.running(peer, NEEDS) as server:
        url = f"ws://127.0.0.1:{server.port}/echo"
        return Report.read(name, peer.version(), suite(url, cases))


def parse(argv):
    parser = argparse.ArgumentParser(
        "python -m tests.conformance.autobahn", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--servers", type=chosen, default=[OURS], help=",".join(SERVERS))
    parser.add_argument("--peers", action="store_true", help="all of these")
    parser.add_argument("--cases", default="*", help="such as 1.*,2.*,12.1.* (all)")
    parser.add_argument("--results", type=Path, default=ROOT / "conformance-results", help="folder")
    arguments = parser.parse_args(argv)
    if arguments.peers:
        arguments.servers = list(SERVERS)
    return arguments


def chosen(text):
    names = text.split(",")
    if unknown := set(names) - set(SERVERS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(SERVERS)}")
    return names


def main(argv=None):
    arguments = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and suite are ended on the way out
    machine.raise_descriptor_limit()
    bad = False
    whole = arguments.cases == "*"
    for name in arguments.servers:
        if name != OURS and (reason := install.install(PEERS[name])):
            print(f"autobahn: without {name}: {reason}")
            continue
        try:
            report = run(name, arguments.cases)
        except Unusable as reason:
            print(f"autobahn: skipped: {reason}")
            return 2
        except (SuiteFailed, servers.ServerFailed, ValueError) as error:
            print(f"autobahn: {name}: {error}")
            bad |= name == OURS
            continue
        if whole:
            report.save(arguments.results)
        shown = ", ".join(f"{report.counts()[kind]} {kind}" for kind in autobahn_report.KINDS)
        print(f"autobahn: {name} {report.version}: {len(report.cases)} cases: {shown}", flush=True)
        short = list(report.short_of(autobahn_report.ALL if whole else 0))
        for kind in autobahn_report.PASSED[1:]:
            if report.those(kind):
                print(f"  {kind}: {autobahn_report.spans(report.those(kind))}", flush=True)
        for line in short:
            print(f"  {line}", flush=True)
        bad |= name == OURS and bool(short)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
