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
        self.unpatched = self.base.tests()

    def run(self, modules):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self.module, modules):
                pass  # an exception of one of them comes up here

    def module(self, module):
        job = Job(
            self.environment.python,
            self.flavour,
            module,
            catalogue.resources(module),
            catalogue.dropped(module),
            self.limit,
            MODULE_SECONDS,
        )
        outcomes = self.run_all(job)
        self.run_again(job, outcomes)
        self.fill(module, outcomes)
        self.tell(self.flavour, module, outcomes)

    def limit(self, test):
        if not self.unpatched or test.endswith(LOAD):
            return FIRST_TEST_SECONDS
        known = self.unpatched.get(test)
        return max(TEST_SECONDS, TIMES_UNPATCHED * known.seconds if known else 0)

    def run_all(self, job):
        """Every test once; what the hung ones left no time for, in a time of its own."""
        outcomes = job.run()
        if any(test.endswith(LOAD) and not one.good for test, one in outcomes.items()):
            return job.run()
        if late := [test for test, one in outcomes.items() if one.outcome == "not run"]:
            outcomes.update(job.run(late))
        return outcomes

    def run_again(self, job, outcomes):
        """Each suspicious test in a process of its own."""
        patient = replace(job, limit=lambda test: SECOND_LOOK * self.limit(test))
        for test in [one.test for one in outcomes.values() if self.is_suspicious(one)]:
            if outcomes[test].outcome != "not run" and not test.endswith(LOAD):
                outcomes.update(patient.run([test]))

    def is_suspicious(self, one):
        """Whether it went wrong, and did not unpatched."""
        known = self.unpatched.get(one.test)
        return not one.good and (known is None or known.good)

    def fill(self, module, outcomes):
        """An outcome for each test that unpatched has and that this flavour never listed."""
        wanted = self.base.modules.get(module)
        if not wanted:
            return
        load = outcomes.pop(f"{module} {LOAD}", None)
        outcome, why = "skipped", "not there when patched"
        if load is not None:
            outcome, why = load.outcome if load.good else "not run", load.message
        for test in wanted:
            outcomes.setdefault(test, Outcome(test, outcome, 0, why))
