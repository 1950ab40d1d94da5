"""The list of known failures is true, or the run fails."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase

import pytest
from tests.conformance import catalogue, known, tables
from tests.conformance.processes import Outcome
from tests.conformance.results import Results

pytestmark = pytest.mark.repository


def results(**outcomes):
    return Results(
        {
            "test.test_x": {
                f"test.test_x.C.{name}": Outcome(f"test.test_x.C.{name}", one)
                for name, one in outcomes.items()
            }
        }
    )


BASE = results(a="passed", b="passed", c="passed", d="failed", e="skipped")


@pytest.mark.parametrize(
    ("ours", "listed", "unknown", "outdated"),
    [
        ({}, {}, [], []),
        ({"a": "failed"}, {}, ["a"], []),
        ({"a": "skipped", "b": "hung"}, {}, ["a", "b"], []),
        ({"a": "failed", "b": "crashed"}, {"a": "why"}, ["b"], []),
        (
            {"a": "failed", "b": "failed", "c": "failed"},
            {"*": "why"},
            [],
            ["test.test_x.C.d passes", "test.test_x.C.e passes"],
        ),
        ({"a": "failed"}, {"[abc]": "why"}, [], ["test.test_x.C.b passes", "test.test_x.C.c passes"]),
        ({}, {"z": "why"}, [], ["test.test_x.C.z meets no test"]),
    ],
)
def test_what_fails_is_known_and_what_is_known_fails(ours, listed, unknown, outdated):
    listed = {f"test.test_x.C.{name}": why for name, why in listed.items()}
    mine = results(**{"a": "passed", "b": "passed", "c": "passed", "d": "failed", "e": "skipped"} | ours)
    found, old = known.surprises(mine, BASE, listed)
    assert [one.test for one in found] == [f"test.test_x.C.{name}" for name in unknown]
    assert sorted(old) == outdated


def test_a_module_that_did_not_run_says_nothing_about_its_tests():
    assert known.surprises(BASE, BASE, {"test.test_y.C.a": "why"}) == ([], [])


def test_every_known_failure_has_a_reason():
    sections = tomllib.loads(known.FILE.read_text(encoding="utf-8"))
    listed = [(one, why) for section in sections.values() for one, why in section.items()]
    assert all(why for _, why in listed)
    patterns = [one.rsplit(".", 2)[0] for one, _ in listed]
    assert all(any(fnmatchcase(module, one) for module in catalogue.MODULES) for one in patterns)


def test_the_table_names_what_is_lost():
    section = tables.markdown(
        {"3.11.7": {"unpatched": BASE, "greenserve": results(a="passed", b="hung", c="passed")}}
    )
    assert "| 3.11.7 | 3 (100.0%) | 2 (66.7%) |" in section
    assert "| test_x | 3 / 1 / 1 | 2 / 1 / 0 |" in section
    assert "`test.test_x.C.b`" in section


def test_the_results_have_room_for_the_table():
    assert tables.MARKERS.search(tables.RESULTS.read_text())


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("socket", ["test.test_socket"]),
        ("test_ssl", ["test.test_ssl"]),
        ("test.test_queue", ["test.test_queue"]),
        ("asyncio.test_locks", ["test.test_asyncio.test_locks"]),
    ],
)
def test_a_module_goes_by_its_short_names(name, modules):
    assert catalogue.chosen([name]) == modules
    assert len(catalogue.chosen(["asyncio"])) > 10
