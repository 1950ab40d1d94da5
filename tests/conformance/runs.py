"""Every module for one flavour, some at a time, and whatever went wrong a second time by itself.

What fails once and passes in a process of its own counts as passed, for every flavour alike. Called by
`python -m tests.conformance`; results.py keeps what comes out.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.conformance import catalogue
from tests.conformance.processes import LOAD, Job, Outcome
from tests.conformance.results import Results

AT_ONCE = 3  # on two cores: they wait more than they work
MODULE_SECONDS = 300
FIRST_TEST_SECONDS = 60  # without unpatched results to go by, and to load a module
TEST_SECONDS = 8  # with them, this or
TIMES_UNPATCHED = 5  # times what it took
SECOND_LOOK = 2  # times as long


class Runner:
    """One flavour on one Python; `base`: the unpatched results, None for those themselves.

    `tell(module, outcomes)` is called as each module ends, in an OS thread of the pool.
    """

    def __init__(self, environment, flavour, base, tell):
        self.environment, self.flavour, self.tell = environment, flavour, tell
        self.base = base or Results({})

    def run(self, modules):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self.module, modules):
                pass  # an exception of one of them comes up here

    def module(self, module):
        unpatched = self.base.modules.get(module, {})

        def limit(test):
            if not unpatched or test.endswith(LOAD):
                return FIRST_TEST_SECONDS
            known = unpatched.get(test)
            return max(TEST_SECONDS, TIMES_UNPATCHED * known.seconds if known else 0)

        job = Job(
            self.environment.python,
            self.flavour,
            module,
            catalogue.resources(module),
            catalogue.dropped(module),
            limit,
            MODULE_SECONDS,
            str(catalogue.PATH),
        )
        outcomes = run_all(job)
        run_again(job, outcomes, unpatched)
        if unpatched:
            fill(outcomes, unpatched, f"{module} {LOAD}")
        self.tell(self.flavour, module, outcomes)


def run_all(job):
    """Every test once; what the hung ones left no time for, in a time of its own."""
    outcomes = job.run()
    if any(test.endswith(LOAD) and not one.good for test, one in outcomes.items()):
        return job.run()
    if late := [test for test, one in outcomes.items() if one.outcome == "not run"]:
        outcomes.update(job.run(late))
    return outcomes


def run_again(job, outcomes, unpatched):
    """Each test that went wrong, and did not unpatched, in a process of its own."""
    patient = replace(job, limit=lambda test: SECOND_LOOK * job.limit(test))
    for test, one in list(outcomes.items()):
        expected = test not in unpatched or unpatched[test].good
        if expected and not one.good and one.outcome != "not run" and not test.endswith(LOAD):
            outcomes.update(patient.run([test]))


def fill(outcomes, unpatched, load):
    """An outcome for each test that unpatched has and that this flavour never listed."""
    loading = outcomes.pop(load, None)
    outcome, why = "skipped", "not there when patched"
    if loading is not None:
        outcome, why = loading.outcome if loading.good else "not run", loading.message
    for test in unpatched:
        outcomes.setdefault(test, Outcome(test, outcome, 0, why))
