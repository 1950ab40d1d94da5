"""A module's tests in child processes, none of which can stop the others.

The child tells which test begins and ends (child.py); this side holds the clock. A test that takes too long is "hung",
one whose process dies is "crashed"; the module then goes on in a new process without it. Every test that was ever
listed gets an outcome. Called by runs.py, in several OS threads.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")
LOAD = "(load)"  # the stand-in for a test while the module is patched and imported
POLL_SECONDS = 0.5
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "USER")  # of the environment
RUNNING = set()  # in sessions of their own, where no Ctrl-C reaches them


@dataclass(slots=True)
class Outcome:
    """What became of a test: passed, failed, skipped, hung, crashed, or not run; `message` has its last words."""

    test: str
    outcome: str
    seconds: float = 0.0
    message: str = ""

    @property
    def good(self):
        return self.outcome in ("passed", "skipped")


@dataclass(slots=True)
class Job:
    """A module for one flavour; `limit(test)` is how long a test may take, `seconds` how long all of them.

    `path`: where modules are that are none of CPython's.
    """

    python: str
    flavour: str
    module: str
    resources: list
    drop: str
    limit: object
    seconds: float
    path: str = ""

    def run(self, only=None):
        """{test: Outcome} of the whole module, or of the tests in `only`."""
        outcomes, listed = {}, []
        deadline = time.monotonic() + self.seconds
        while True:
            before = len(outcomes)
            child = Child(self, only, list(outcomes))
            ended = child.watch(outcomes, deadline)
            listed = listed or child.listed
            rest = [test for test in listed if test not in outcomes]
            if ended or not rest:
                break
            if len(outcomes) == before or time.monotonic() > deadline:
                reason = child.cause or "the module took too long"
                outcomes.update((test, Outcome(test, "not run", 0, reason)) for test in rest)
                break
        return outcomes


class Child:
    """One process, in a session and a folder of its own."""

    def __init__(self, job, only, skip):
        self.job = job
        self.listed = []
        self.cause = ""
        self.current, self.since = f"{job.module} {LOAD}", time.monotonic()
        self.order = {"only": only, "skip": skip}

    def watch(self, outcomes, deadline):
        """Put what the tests become into `outcomes`; whether the child came to its end by itself."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            reader, writer = os.pipe()
            job = Path(folder, "job.json")
            order = {
                **self.order,
                "module": self.job.module,
                "resources": self.job.resources,
                "drop": self.job.drop,
                "fd": writer,
            }
            job.write_text(json.dumps(order))
            work = Path(folder, "work")
            work.mkdir()
            with tempfile.TemporaryFile() as said:
                process = subprocess.Popen(
                    [self.job.python, str(CHILD), self.job.flavour, str(job)],
                    cwd=work,
                    env=environment(folder, self.job.path),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    pass_fds=[writer],
                    start_new_session=True,
                )
                RUNNING.add(process)
                os.close(writer)
                try:
                    return self.follow(process, reader, outcomes, deadline, said)
                finally:
                    os.close(reader)
                    end(process)
                    RUNNING.discard(process)

    def follow(self, process, reader, outcomes, deadline, said):
        buffer = b""
        while True:
            limit = min(self.since + self.job.limit(self.current), deadline)
            patience = min(POLL_SECONDS, limit - time.monotonic())
            if patience <= 0:
                process.send_signal(signal.SIGABRT)  # faulthandler then writes where it hangs
                self.give_up("hung", outcomes, process, said)
                return False
            over = process.poll() is not None  # asked first: what it wrote before its end is read after it
            if select.select([reader], [], [], 0 if over else patience)[0]:
                data = os.read(reader, 65536)
                buffer += data
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if self.hear(json.loads(line), outcomes):
                        return True
                over = over and not data
            if over:
                self.give_up("crashed", outcomes, process, said)
                return False

    def hear(self, event, outcomes):
        """Take one event in; whether it was the last."""
        now = time.monotonic()
        match event:
            case ["tests", listed]:
                self.listed = listed
                self.current, self.since = "", now
            case ["start", test]:
                self.current, self.since = test, now
            case ["end", test, outcome, message]:
                old = outcomes.get(test)
                if old is None or old.good:  # an id that two tests share fails if one of them does
                    outcomes[test] = Outcome(test, outcome, round(now - self.since, 3), message)
                self.current, self.since = "", now
            case ["skip", reason]:
                outcomes[self.current] = Outcome(self.current, "skipped", 0, reason)
                return True
            case ["done"]:
                return True
        return False

    def give_up(self, outcome, outcomes, process, said):
        """Blame the test that was running."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
        said.seek(0)
        tail = said.read().decode(errors="replace")[-4000:]
        code = process.returncode
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        taken = time.monotonic() - self.since
        self.cause = f"{outcome} after {taken:.1f} s ({how})\n{tail}"
        if self.current:
            outcomes[self.current] = Outcome(self.current, outcome, round(taken, 3), self.cause)


def environment(folder, path):
    """No settings from outside; temporary files where they are removed."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": path,
        "TMPDIR": folder,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def end(process):
    """The child and whatever it started."""
    kill(process)
    process.wait()


def kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def stop(number, frame):
    """A signal handler: nothing that was started outlives this process. Waits for nothing: it may come twice."""
    for process in list(RUNNING):
        kill(process)
    os._exit(128 + number)
