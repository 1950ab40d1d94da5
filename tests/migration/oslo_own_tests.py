"""`python -m tests.migration.oslo_own_tests [PACKAGE...]`: the tests of oslo.messaging and oslo.service.

They run on eventlet and here, in one venv, where eventlet is installed too: what fails with the hook and passes without
it is an error. oslo.messaging's functional tests have a RabbitMQ of their own, and take five minutes each time; among
all its tests they skip themselves.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from tests.migration.kit.broker import rabbitmq
from tests.migration.kit.installing import Installed, installed

# Some tests fork, and their children go on with the tests: only the first process tells what passed.
RUN = """\
import importlib, json, os, sys, unittest

class Names(unittest.TextTestResult):
    passed = ()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed = (*self.passed, test.id())

if __name__ == "__main__":
    pid = os.getpid()
    package = importlib.import_module(sys.argv[1])
    assert sys.modules["eventlet"].__name__ == sys.argv[2]
    suite = unittest.TestLoader().discover(package.__path__[0], "test_*.py", sys.argv[3])
    ended = unittest.TextTestRunner(resultclass=Names, verbosity=2).run(suite)
    if os.getpid() == pid:
        with open(sys.argv[4], "w") as out:
            json.dump([ended.testsRun, sorted(ended.passed)], out)
"""
NEEDS = (
    "oslo.service==4.8.0",
    "oslo.messaging==18.3.1",
    "eventlet==0.41.3",
    "confluent-kafka",
    "cotyledon",
    "oslotest",
    "testscenarios",
)
SECONDS = 600  # for one run of one package
FUNCTIONAL = "oslo_messaging.tests.functional"
PACKAGES = ("oslo_messaging.tests", "oslo_service.tests", FUNCTIONAL)
HOOK = ("-m", "greenserve_eventlet")


def main() -> int:
    """Run all twice and return the exit code."""
    failed = 0
    with installed(*NEEDS) as here:
        (here.folder / "run.py").write_text(RUN)
        for package in sys.argv[1:] or PACKAGES:
            with _broker(here) if package == FUNCTIONAL else nullcontext({}) as environ:
                count, real = _run(here, package, environ)
                hooked, ours = _run(here, package, environ, *HOOK)
            print(f"{package}: {len(real)} of {count} on eventlet, {len(ours)} of {hooked} here", flush=True)
            for name in sorted(real - ours):
                print(f"fails here only: {name}")
            failed += len(real - ours)
    return int(failed > 0)


@contextmanager
def _broker(here: Installed) -> Iterator[dict[str, str]]:
    with rabbitmq(here.folder) as url:
        url = url.replace("amqp", "rabbit", 1).removesuffix("/")
        yield {"RPC_TRANSPORT_URL": url, "NOTIFY_TRANSPORT_URL": url}


def _run(here: Installed, package: str, environ: dict[str, str], *hook: str) -> tuple[int, set[str]]:
    expected = "greenserve_eventlet" if hook else "eventlet"
    top = next(here.bin.parent.glob("lib/*/site-packages"))
    passed = here.folder / f"{package}.{expected}.json"
    command = [here.python, "-W", "ignore", *hook, "run.py", package, expected, str(top), str(passed)]
    with passed.with_suffix(".log").open("wb") as log:
        subprocess.run(
            command,
            cwd=here.folder,
            env=here.environ(**environ),
            stdout=log,
            stderr=log,
            timeout=SECONDS,
            check=False,
        )
    if not passed.exists():
        sys.exit(passed.with_suffix(".log").read_text(errors="replace")[-4000:])
    count, names = json.loads(passed.read_text())
    return count, set(names)


if __name__ == "__main__":
    sys.exit(main())
