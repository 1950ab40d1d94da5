"""One of CPython's test modules in this process, patched before anything else is imported.

    python child.py FLAVOUR JOB      JOB: a JSON file with module, resources, drop, only, skip, fd

Started by processes.py, never imported. Tells what happens as JSON lines on the descriptor `fd`, written by an os.write
that no flavour has patched: the ids of all tests, then each test's start and end. Watches nothing itself: an OS thread
here would disturb tests that count threads or fork, so the parent watches.
"""

import os
import sys

write = os.write
if (
    __name__ == "__main__"
):  # and not where multiprocessing loads this file once more, in a process that it starts
    from patches import patch  # beside this file, which is run as a script

    patch(sys.argv[1])

import faulthandler  # noqa: E402 - nothing may be imported before the patching
import fcntl  # noqa: E402
import json  # noqa: E402
import re  # noqa: E402
import resource  # noqa: E402
import unittest  # noqa: E402
from contextlib import suppress  # noqa: E402

FIXTURES = ("setUpClass", "setUpModule")
MESSAGE_CHARACTERS = 4000


class Wire:
    """The way to the parent."""

    def __init__(self, fd):
        # Out of the way of tests that expect the next descriptor to be a low one, and closed in what tests start.
        self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 1000)
        os.close(fd)
        self.pid = os.getpid()

    def tell(self, *event):
        if os.getpid() == self.pid:  # not from a test's forked child
            data = json.dumps(event).encode() + b"\n"
            while data:
                data = data[write(self.fd, data) :]


class Result(unittest.TestResult):
    """Tells each test's outcome as it ends, and that of the tests which a failed fixture keeps from running."""

    def __init__(self, tell, tests):
        super().__init__()
        self.tell = tell
        self.waiting = dict.fromkeys(tests)
        self.current = None
        self.outcome, self.message = "", ""

    def startTest(self, test):
        super().startTest(test)
        self.current, self.outcome, self.message = test, "passed", ""
        self.tell("start", test.id())

    def stopTest(self, test):
        super().stopTest(test)
        self.waiting.pop(test.id(), None)
        if self.current is not None:  # CPython 3.12.1 starts no test that its decorator skips
            self.tell("end", test.id(), self.outcome, self.message)
        self.current = None

    def note(self, test, outcome, message):
        if self.current is not None:
            if self.outcome != "failed":
                self.outcome = outcome
            self.message = (self.message + message)[-MESSAGE_CHARACTERS:]
            return
        # "setUpClass (test.test_x.Class)": how unittest itself names a fixture.
        kind, _, name = test.id().partition(" ")
        if kind not in FIXTURES:
            self.tell("end", test.id(), outcome, message)
            return
        for missed in [one for one in self.waiting if one.startswith(name.strip("()") + ".")]:
            del self.waiting[missed]
            self.tell("end", missed, outcome, f"{kind}: {message}"[-MESSAGE_CHARACTERS:])

    def addError(self, test, error):
        self.note(test, "failed", self._exc_info_to_string(error, test))

    addFailure = addError

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.note(test, "failed", self._exc_info_to_string(error, test))

    def addSkip(self, test, reason):
        self.note(test, "skipped", reason)

    def addUnexpectedSuccess(self, test):
        self.note(test, "failed", "passed unexpectedly")


def flat(suite):
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from flat(one)
        else:
            yield one


def is_wanted(name, job):
    only, fixture = job["only"], f"tearDownClass ({name.rpartition('.')[0]})"
    if name in job["skip"] or (job["drop"] and re.search(job["drop"], name)):
        return False
    return only is None or name in only or fixture in only


def load(job):
    """The module's tests; SkipTest if it skips them all, exit if it can't be imported."""
    loader = unittest.TestLoader()
    loaded = loader.loadTestsFromName(job["module"])
    if loader.errors:
        sys.exit(loader.errors[0])
    return [one for one in flat(loaded) if is_wanted(one.id(), job)]


def run(job, tell):
    from test import support

    support.use_resources = job["resources"]
    try:
        tests = load(job)
    except unittest.SkipTest as reason:
        tell("skip", str(reason))
        return
    names = [one.id() for one in tests]
    tell("tests", names)
    unittest.TestSuite(tests).run(Result(tell, names))
    tell("done")


def main(path):
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    faulthandler.enable()  # what the parent's SIGABRT makes a hanging test tell where it is
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError):  # some tests open as many as they may; fewer is soon enough
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    run(job, Wire(job["fd"]).tell)
    sys.stderr.flush()
    os._exit(0)  # whatever threads the tests left


if __name__ == "__main__":
    main(sys.argv[2])
