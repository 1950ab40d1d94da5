"""What became of every test of one flavour on one Python, and what of it counts against the flavour.

Lies in <folder>/<Python>/<flavour>.jsonl, a line for each test. Knows nothing of how tests are run; tables.py and
known.py read it.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass

from tests.conformance.processes import Outcome


@dataclass
class Results:
    """{module: {test: Outcome}}, and the version of what patched."""

    modules: dict
    version: str = ""

    def counts(self, *modules):
        """(passed, failed, skipped) of these modules, or of all; hung, crashed and not run are failed."""
        found = Counter(
            one.outcome for name in modules or self.modules for one in self.modules.get(name, {}).values()
        )
        return found["passed"], found.total() - found["passed"] - found["skipped"], found["skipped"]

    def short_of(self, base):
        """The outcomes of what passes in `base` and does not here, of the modules that are here.

        Module by module, since several of them bring the same test (test_wait3 and test_wait4 that of fork_wait). What
        `base` does not know, such as a failing tearDownClass, counts too.
        """
        for module, mine in self.modules.items():
            known = base.modules.get(module, {})
            for test, one in known.items():
                got = mine.get(test) or Outcome(test, "not run")
                if one.outcome == "passed" and got.outcome != "passed":
                    yield got
            yield from (one for test, one in mine.items() if not one.good and test not in known)

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            file.write(json.dumps({"version": self.version}) + "\n")
            for module, outcomes in self.modules.items():
                for one in outcomes.values():
                    file.write(json.dumps({"module": module, **asdict(one)}) + "\n")

    @classmethod
    def load(cls, path):
        """What was saved; nothing where nothing was."""
        if not path.exists():
            return cls({})
        first, *lines = map(json.loads, path.read_text().splitlines())
        modules = {}
        for fields in lines:
            outcomes = modules.setdefault(fields.pop("module"), {})
            outcomes[fields["test"]] = Outcome(**fields)
        return cls(modules, first["version"])
