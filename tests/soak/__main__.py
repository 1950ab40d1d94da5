"""`make soak`: the whole of it, with figures; the exit code says whether anything grew, or was answered wrongly."""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict

from tests.soak.growth import growth
from tests.soak.restarts import Restarts
from tests.soak.served import Held
from tests.soak.traffic import MOST_GROWTH, Traffic
from tests.soak.works import arm_and_cancel, connect_and_close, spawn_and_finish

WORKS = {spawn_and_finish: 1_000_000, arm_and_cancel: 100_000, connect_and_close: 100_000}
REQUESTS = 2_000_000
POSTS, STOPS = 20_000, 20
# One object in a thousand operations, or one byte in each, would be seen.
MOST_OBJECTS = 100
MOST_BYTES = 1 << 20


def soak_works() -> bool:
    """Whether what was done over and over left nothing."""
    grown = 0
    print(f"{'work':20} {'times':>9} {'objects':>8} {'blocks':>8} {'KiB':>6} {'seconds':>8}")
    for work, count in WORKS.items():
        began = time.monotonic()
        left = growth(work, count)
        seconds = time.monotonic() - began
        flat = left.objects <= MOST_OBJECTS and left.resident <= MOST_BYTES
        grown += not flat
        print(
            f"{work.__name__:20} {count:9,} {left.objects:8,} {left.blocks:8,} {left.resident >> 10:6,} {seconds:8.1f}"
            f"{'' if flat else '  GROWN'}",
            flush=True,
        )
    return not grown


def soak_traffic(requests: int) -> bool:
    """Whether all was answered rightly and the server's memory, descriptors and green threads stayed flat."""
    traffic = Traffic(requests)
    print(
        f"\n{'seconds':>8} {'requests':>10} {'KiB':>8} {'descriptors':>11} {'green':>6} {'resting':>7} "
        f"{'connections':>11}"
    )
    traffic.run(tell)
    rate = traffic.requests / traffic.seconds
    share = traffic.abuses / (traffic.connections + traffic.abuses)
    print(
        f"\n{traffic.requests:,} requests on {traffic.connections:,} connections in {traffic.seconds:.0f} s: "
        f"{rate:,.0f}/s; beside them {traffic.abuses:,} abusive connections, {share:.1%}"
    )
    print("answered:", ", ".join(f"{kind} {count:,}" for kind, count in sorted(traffic.answered.items())))
    outcomes = defaultdict(list)
    for outcome, count in sorted(traffic.outcomes.items()):
        abuse, _, result = outcome.partition(": ")
        outcomes[abuse].append(f"{result} {count:,}")
    for abuse, results in outcomes.items():
        print(f"  {abuse:20} {', '.join(results)}")
    if traffic.held_hub:
        print(f"the hub was held for more than 100 ms {traffic.held_hub} times")
    grown = traffic.growth > MOST_GROWTH
    print(
        f"memory from a quarter on: {traffic.growth / 1024:+,.0f} KiB, of {MOST_GROWTH >> 10:,} allowed"
        f"{'  GROWN' if grown else ''}"
    )
    for failure in traffic.failures[:50]:
        print(f"FAILED: {failure}")
    print("all answered once and rightly" if not traffic.failures else f"{len(traffic.failures)} failures")
    return not (traffic.failures or grown)


def soak_restarts() -> bool:
    """Whether deploys lost no request."""
    restarts = Restarts(POSTS, STOPS)
    print(f"\n{'stop':>4} {'answered':>8} {'lost':>5} {'seconds':>8}")
    restarts.run(lambda line: print(line, flush=True))
    for lost in restarts.lost[:50]:
        print(f"LOST: {lost}")
    print(
        f"{restarts.answered:,} POSTs through nginx in {restarts.seconds:.0f} s, {len(restarts.stopping)} stops of "
        f"{max(restarts.stopping):.2f} s at most: {len(restarts.lost)} lost"
    )
    return not restarts.lost


def tell(held: Held) -> None:
    print(
        f"{held.seconds:8.1f} {held.requests:10,} {held.resident >> 10:8,} {held.descriptors:11,} {held.green:6,} "
        f"{held.resting:7,} {held.connections:11,}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.soak", description="what a long-lived process does, many times"
    )
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"requests to a server ({REQUESTS:,})")
    parser.add_argument("--only", choices=["works", "traffic", "restarts"], help="one part of it")
    arguments = parser.parse_args()
    parts = {
        "works": soak_works,
        "traffic": lambda: soak_traffic(arguments.requests),
        "restarts": soak_restarts,
    }
    fine = [soak() for name, soak in parts.items() if arguments.only in (None, name)]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
