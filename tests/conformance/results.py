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

    def tests(self):
        return {test: one for outcomes in self.modules.values() for test, one in outcomes.items()}

    def counts(self, module=None):
        """(passed, failed, skipped) of a module, or of all; hung, crashed and not run are failed."""
        outcomes = self.tests() if module is None else self.modules.get(module, {})
        found = Counter(one.outcome for one in outcomes.values())
        return found["passed"], len(outcomes) - found["passed"] - found["skipped"], found["skipped"]

    def short_of(self, base):
        """The outcomes of what passes in `base` and does not here, of the modules that both have."""
        mine, known = self.tests(), base.tests()
        wanted = [
            one.test
            for module in self.modules
            for one in base.modules.get(module, {}).values()
            if one.outcome == "passed"
        ]
        found = [mine.get(test) or Outcome(test, "not run") for test in wanted]
        return [one for one in found if one.outcome != "passed"] + [
            one for one in mine.values() if not one.good and one.test not in known
        ]

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
