"""Durations: how many of them were how long, in buckets of which each is a sixteenth of an octave wide.

Facts: a request may cost no more than one append to a list. The upper 16 bits of an IEEE double are its sign, its
exponent and four bits of its mantissa: a logarithmic scale, for nothing. Consequence: durations are kept as they come,
and a few times a second all of them are put into buckets by functions in C, at some 60 ns each. A bucket is at most
6.3 % wide, so a percentile is at most 6.3 % wrong.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

__all__ = ["BOUNDS", "BUCKETS", "EDGES", "bucketed", "cumulated", "percentile"]

_SHORTEST: Final = -16  # 2**-16 s, 15 µs
_LONGEST: Final = 9  # 2**9 s, 8.5 minutes
_PARTS: Final = 16  # of an octave
_BIAS: Final = 1023  # of the exponent of a double
# What is shorter than the shortest goes into the first bucket, what is longer than the longest into the last one.
BUCKETS: Final = (_LONGEST - _SHORTEST) * _PARTS + 2
# EDGES[i] is where bucket i ends, in seconds.
EDGES: Final = (
    *(2.0**octave * (1 + part / _PARTS) for octave in range(_SHORTEST, _LONGEST) for part in range(_PARTS)),
    2.0**_LONGEST,
)
_LOW: Final = (_BIAS + _SHORTEST) << 4
_UPPER: Final = slice(3, None, 4) if sys.byteorder == "little" else slice(0, None, 4)
# The edges that Prometheus is told: two of an octave, from 122 µs to 256 s. A bucket each is a series each.
BOUNDS: Final = tuple(range(3 * _PARTS, BUCKETS - 1 - _PARTS + 1, _PARTS // 2))


def bucketed(seconds: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Yield (bucket, how many) of durations in seconds, each at least 0. Some buckets may come twice."""
    upper = memoryview(array("d", seconds)).cast("B").cast("H")[_UPPER]
    for bits, count in Counter(upper.tolist()).items():
        yield min(max(bits - _LOW + 1, 0), BUCKETS - 1), count


def percentile(counts: Sequence[int], share: float) -> float:
    """Return the duration in seconds that `share` (0 to 1) of the counted ones are not longer than; nan if none is."""
    total = sum(counts)
    if not total:
        return math.nan
    wanted = max(share * total, 1)
    seen = 0
    for bucket, count in enumerate(counts):
        if count and seen + count >= wanted:
            if bucket == BUCKETS - 1:
                return EDGES[-1]
            low = EDGES[bucket - 1] if bucket else 0.0
            return low + (EDGES[bucket] - low) * (wanted - seen) / count
        seen += count
    return EDGES[-1]


def cumulated(counts: Sequence[int]) -> Iterable[tuple[float, int]]:
    """Yield (seconds, how many are not longer) for each of BOUNDS, and for infinity."""
    seen = at = 0
    for bucket in BOUNDS:
        seen += sum(counts[at : bucket + 1])
        at = bucket + 1
        yield EDGES[bucket], seen
    yield math.inf, seen + sum(counts[at:])
