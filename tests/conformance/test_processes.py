"""Tests that hang, crash or never run have an outcome, and those after them too."""

from __future__ import annotations

import sys

import pytest
from tests.conformance.processes import Job
from tests.conformance.results import Results
from tests.support.times import MS

pytestmark = pytest.mark.repository

MODULE = """
import os, signal, time, unittest

class Various(unittest.TestCase):
    def test_a_passes(self):
        pass

    def test_b_crashes(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def test_c_fails(self):
        with self.subTest("one"):
            self.assertEqual(1, 2)

    def test_d_hangs(self):
        time.sleep(1000)

    def test_e_skips(self):
        self.skipTest("for a reason")

    @unittest.skip("always")
    def test_e_too(self):
        pass

    def test_f_forks(self):
        pid = os.fork()
        if not pid:
            raise KeyError("of the child alone")
        os.waitpid(pid, 0)

class Unready(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise KeyError("no set-up")

    def test_never_runs(self):
        pass
"""


@pytest.fixture
def job(tmp_path):
    def make(source, seconds=60_000 * MS):
        (tmp_path / "victim.py").write_text(source)
        return Job(sys.executable, "unpatched", "victim", [], "", limit, seconds, str(tmp_path))

    def limit(test):
        return (500 if "hangs" in test else 30_000) * MS

    return make


def brief(outcomes):
    return {test.rpartition(".")[2]: one.outcome for test, one in outcomes.items()}


def test_every_test_has_an_outcome_and_none_stops_the_others(job):
    outcomes = job(MODULE).run()
    assert brief(outcomes) == {
        "test_a_passes": "passed",
        "test_b_crashes": "crashed",
        "test_c_fails": "failed",
        "test_d_hangs": "hung",
        "test_e_skips": "skipped",
        "test_e_too": "skipped",
        "test_f_forks": "passed",
        "test_never_runs": "failed",
    }
    messages = {test.rpartition(".")[2]: one.message for test, one in outcomes.items()}
    assert "SIGKILL" in messages["test_b_crashes"]
    assert "1 != 2" in messages["test_c_fails"]
    assert "in test_d_hangs" in messages["test_d_hangs"]
    assert "no set-up" in messages["test_never_runs"]


def test_only_the_chosen_ones_run(job):
    assert brief(job(MODULE).run(["victim.Various.test_a_passes"])) == {"test_a_passes": "passed"}


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("import no_such_module", "crashed"),
        ("import unittest\nraise unittest.SkipTest('not here')", "skipped"),
    ],
)
def test_a_module_that_does_not_load_has_an_outcome(job, source, outcome):
    outcomes = job(source).run()
    assert brief(outcomes) == {"victim (load)": outcome}


def test_a_module_has_its_time(job):
    outcomes = job(MODULE.replace("hangs", "takes_long"), seconds=3_000 * MS).run()
    assert brief(outcomes)["test_d_takes_long"] == "hung"
    assert brief(outcomes)["test_f_forks"] == "not run"


def test_results_are_saved_and_loaded(job, tmp_path):
    results = Results({"victim": job(MODULE).run(["victim.Various.test_e_skips"])}, "1.2")
    results.save(tmp_path / "3.11" / "unpatched.jsonl")
    assert Results.load(tmp_path / "3.11" / "unpatched.jsonl") == results
