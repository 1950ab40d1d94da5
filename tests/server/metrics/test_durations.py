"""durations: a logarithmic scale made of the bits of a double, and percentiles that are at most a tenth wrong."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.metrics.durations import BOUNDS, BUCKETS, EDGES, bucketed, cumulated, percentile


def counts_of(*seconds: float) -> list[int]:
    counts = [0] * BUCKETS
    for bucket, count in bucketed(list(seconds)):
        counts[bucket] += count
    return counts


@given(st.floats(EDGES[0], EDGES[-1], exclude_max=True))
def test_each_goes_into_the_bucket_between_whose_edges_it_is(seconds):
    bucket = counts_of(seconds).index(1)
    assert EDGES[bucket - 1] <= seconds < EDGES[bucket]


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (1e-9, 0), (EDGES[-1], BUCKETS - 1), (1e9, BUCKETS - 1)]
)
def test_what_is_beyond_the_scale_goes_into_its_first_and_last_bucket(seconds, bucket):
    assert counts_of(seconds)[bucket] == 1


@given(
    st.lists(st.floats(1e-4, 100), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0])
)
def test_a_percentile_is_at_most_a_tenth_wrong(seconds, share):
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    assert exact * 0.93 <= percentile(counts_of(*seconds), share) <= exact * 1.07


def test_the_middle_of_many_is_within_a_tenth_of_the_exact_one():
    seconds = [0.001 * 1.0005**n for n in range(10_000)]
    for share in (0.5, 0.9, 0.99, 0.999):
        exact = seconds[math.ceil(share * len(seconds)) - 1]
        assert percentile(counts_of(*seconds), share) == pytest.approx(exact, rel=0.1)


def test_nothing_has_no_percentile():
    assert math.isnan(percentile([0] * BUCKETS, 0.5))


@given(st.lists(st.floats(0, 1000), max_size=100))
def test_the_coarse_scale_counts_the_same(seconds):
    found = list(cumulated(counts_of(*seconds)))
    assert len(found) == len(BOUNDS) + 1
    for edge, count in found:
        assert count == sum(one < edge for one in seconds)
    assert found[-1] == (math.inf, len(seconds))
