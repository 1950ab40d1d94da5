"""`make soak`: the whole of it, with figures; the exit code says whether anything grew."""

from __future__ import annotations

import sys
import time

from tests.soak.growth import growth
from tests.soak.works import arm_and_cancel, connect_and_close, spawn_and_finish

WORKS = {spawn_and_finish: 1_000_000, arm_and_cancel: 100_000, connect_and_close: 100_000}
# One object in a thousand operations, or one byte in each, would be seen.
MOST_OBJECTS = 100
MOST_BYTES = 1 << 20


def main() -> int:
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
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
