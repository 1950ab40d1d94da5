"""names: each number has one column, and each family one kind, one help and one set of labels."""

from __future__ import annotations

import re
from dataclasses import fields

from greenserve.metrics.names import COLUMNS, HISTOGRAMS, METRICS, STATES
from greenserve.net import Stats
from greenserve.net.http.states import State


def test_no_column_is_there_twice():
    assert len(COLUMNS) == len(set(COLUMNS))


def test_a_family_is_of_one_kind():
    families: dict[str, set[object]] = {}
    for metric in METRICS:
        families.setdefault(metric.family, set()).add(
            (metric.kind, metric.help, frozenset(metric.labels), metric.unit)
        )
    assert all(len(found) == 1 for found in families.values())
    for family in [*families, *(histogram.family for histogram in HISTOGRAMS)]:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", family)
        assert not family.endswith(("_total", "_sum", "_count", "_bucket", "_info"))


def test_all_states_of_a_connection_are_counted():
    assert {state.name.lower() for state in State} == {*STATES, "closed"}


def test_all_numbers_of_a_server_are_published():
    sums = {"connections", "turned_away"}  # of the states, of the reasons
    assert {one.name for one in fields(Stats)} - sums <= set(COLUMNS)
