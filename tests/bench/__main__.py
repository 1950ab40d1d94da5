"""`python -m tests.bench`: greenserve beside its peers, in alternating rounds (README.md beside this file).

Parses the command line, runs the chosen scenarios, saves every sample at once, then prints tables and targets
and draws the plots. What is measured and how is in scenarios/.
"""

import argparse
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench import machine, plots, tables, targets
from tests.bench.catalogue import SCENARIOS
from tests.bench.openloop import LoadFailed
from tests.bench.peers import HTTP, PEERS, Unsuited
from tests.bench.samples import Results, Sample
from tests.bench.servers import ServerFailed


@dataclass(slots=True)
class Settings:
    rounds: int = 3
    seconds: int = 3
    idle_connections: int = 4000
    sleepers: int = 4000
    tasks: int = 1_000_000
    microbenchmark_seconds: float = 1.0
    slow_seconds: int = 25
    websockets: int = 10_000

    @classmethod
    def quick(cls):
        """Whether everything works; the numbers are noise."""
        return cls(
            rounds=1, seconds=1, tasks=50_000, microbenchmark_seconds=0.3, slow_seconds=12, websockets=1000
        )


def parse(argv):
    parser = argparse.ArgumentParser("python -m tests.bench", description="greenserve beside its peers")
    names = lambda known: lambda text: choose(text, known)  # noqa: E731 - argparse wants a one-argument function
    parser.add_argument("--only", type=names(SCENARIOS), default=list(SCENARIOS), help=",".join(SCENARIOS))
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS), help=",".join(PEERS))
    parser.add_argument("--rounds", type=int, help="alternating rounds (3)")
    parser.add_argument("--seconds", type=int, help="of each load (3)")
    parser.add_argument("--quick", action="store_true", help="one short round: does it all work?")
    parser.add_argument("--markdown", action="store_true", help="also print the tables of RESULTS.md")
    parser.add_argument("--report", action="store_true", help="run nothing: print the results folder")
    parser.add_argument("--results", type=Path, default=Path("bench-results"), help="folder (bench-results)")
    return parser.parse_args(argv)


def choose(text, known):
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(known)}")
    return chosen


def available(names, folder):
    """(peers that can run, {name: why not})."""
    path = folder / "peers.json"
    recorded = json.loads(path.read_text()) if path.exists() else {}
    reasons = {name: recorded.get(name) or PEERS[name].missing() for name in names if PEERS[name].missing()}
    return [PEERS[name] for name in names if name not in reasons], reasons


def measured(scenario, peer, settings):
    """The scenario's samples; a failure is a sample too, and its story goes to stderr."""
    got = []
    try:
        for sample in scenario.measure(peer, settings):
            got.append(sample)  # noqa: PERF402 - what came before a failure has to stay
    except Unsuited as reason:
        note = str(reason)
    except (ServerFailed, LoadFailed, OSError) as error:
        first, *rest = str(error).splitlines()
        note = f"failed: {first}" + (f" ({rest[-1].strip()})" if rest else "")
        print(f"{scenario.NAME}, {peer.name}: {error}", file=sys.stderr, flush=True)
    else:
        return got
    have = {sample.metric for sample in got}
    return got + [
        Sample(peer.name, one.key, None, note=note) for one in scenario.METRICS if one.key not in have
    ]


def run(scenario, peers, settings, results, folder):
    for number in range(1, settings.rounds + 1):
        for peer in peers:
            samples = measured(scenario, peer, settings)
            for sample in samples:
                sample.round = number
            results.samples += samples
            results.save(folder)
            shown = {one.key: one for one in scenario.METRICS}
            values = [
                f"{one.metric} {shown[one.metric].show(one.value)}"
                for one in samples
                if one.value is not None
            ]
            notes = {one.note.splitlines()[0] for one in samples if one.note}
            line = "  ".join([*values, *sorted(notes)])
            print(f"{scenario.NAME} {number}/{settings.rounds} {peer.name:<11} {line}", flush=True)


def report(arguments):
    """Tables, targets and plots of all that the folder holds for the chosen scenarios."""
    loaded = [(SCENARIOS[name], Results.load(arguments.results, name)) for name in arguments.only]
    pairs = [(scenario, results) for scenario, results in loaded if results]
    if not pairs:
        print(f"no results in {arguments.results}/", file=sys.stderr)
        return 1
    verdicts = list(targets.judge(pairs))
    print()
    for scenario, results in pairs:
        print(tables.text(scenario, results))
    if verdicts:
        print(targets.text(verdicts))
    try:
        for scenario, results in pairs:
            plots.draw(scenario, results, arguments.results)
        print(f"plots and raw samples: {arguments.results}/")
    except ImportError as error:
        print(f"no plots: {error}", file=sys.stderr)
    if arguments.markdown:
        print("\n" + tables.whole_markdown(pairs, verdicts))
    return 0


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    arguments = parse(argv)
    if arguments.report:
        return report(arguments)
    if sys.platform != "linux":
        print("the benchmarks need Linux: epoll, /proc, sched_setaffinity", file=sys.stderr)
        return 2
    if not shutil.which("wrk"):
        print("the benchmarks need wrk: apt-get install wrk", file=sys.stderr)
        return 2
    settings = Settings.quick() if arguments.quick else Settings()
    settings.rounds = arguments.rounds or settings.rounds
    settings.seconds = arguments.seconds or settings.seconds
    described = machine.describe()
    limit = machine.raise_descriptor_limit()
    os.sched_setaffinity(0, {machine.LOAD_CORE})
    peers, missing = available(arguments.peers, arguments.results)
    print(machine.describe_line(described))
    for name, reason in missing.items():
        print(f"without {name}: {reason}")
    if machine.SERVER_CORE == machine.LOAD_CORE:
        print("one core only: server and load share it, and the numbers mean little")
    if limit < 10_000:
        print(f"only {limit} descriptors (ulimit -n): scenarios with thousands of connections will fail")
    if described["load_average_at_start"] > 0.5:
        print(f"load average {described['load_average_at_start']}: something else is running, expect noise")
    command = " ".join(["python -m tests.bench", *argv])
    for name in arguments.only:
        suited = getattr(SCENARIOS[name], "PEERS", HTTP)
        chosen = [peer for peer in peers if peer.name in suited]
        versions = {peer.name: peer.version() for peer in chosen}
        without = {peer: reason for peer, reason in missing.items() if peer in suited}
        results = Results(name, command, described, versions, without, asdict(settings))
        run(SCENARIOS[name], chosen, settings, results, arguments.results)
    return report(arguments)


if __name__ == "__main__":
    sys.exit(main())
