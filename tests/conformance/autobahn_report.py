"""What became of the cases of Autobahn's WebSocket suite, for a server: read, saved, judged and put into a table.

Lies in <folder>/autobahn/<server>.json. Knows nothing of how the suite is run; autobahn.py does that.
"""

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass

from tests.conformance.install import ROOT

README = ROOT / "server" / "greenserve" / "websocket" / "README.md"
MARKERS = re.compile(r"(<!-- autobahn:begin -->\n).*?(<!-- autobahn:end -->)", re.DOTALL)
OURS = "greenserve"
SERVERS = (OURS, "eventlet", "gevent-websocket", "websockets", "aiohttp", "uvicorn")
ALL = 517  # cases of the whole suite, 0.8.2
# What a case may come to. The suite also says UNCLEAN, WRONG CODE and FAILED BY CLIENT: all are FAILED here.
PASSED = ("OK", "NON-STRICT", "INFORMATIONAL")
KINDS = (*PASSED, "UNIMPLEMENTED", "FAILED")
LISTED = KINDS[1:]  # by their numbers
NOTE = """\
[Autobahn's test suite](https://github.com/crossbario/autobahn-testsuite) 0.8.2, fuzzingclient, {cases} cases of groups
1 to 13 (`make conformance CONFORMANCE_ARGS="--only autobahn --peers"`). OK: as RFC 6455 and RFC 7692 have it.
NON-STRICT: allowed, and not what the suite prefers. INFORMATIONAL: no outcome is wrong. UNIMPLEMENTED: the server does
not compress. Where the connection was not closed as it should be, the case counts as FAILED."""


def verdict(behaviour, closing):
    """One of KINDS, of the suite's two words for a case: how it went, and how the connection was closed."""
    known = behaviour if behaviour in KINDS else "FAILED"
    return known if closing in ("OK", "INFORMATIONAL") or known == "UNIMPLEMENTED" else "FAILED"


def number(case):
    return [int(part) for part in case.split(".")]


@dataclass
class Report:
    """{case: one of KINDS}, and of what server."""

    server: str
    version: str
    cases: dict

    @classmethod
    def read(cls, server, version, index):
        """Of the suite's own index.json, as text; ValueError if it holds no cases of one server."""
        agents = json.loads(index)
        if len(agents) != 1:
            raise ValueError(f"a report of {len(agents)} servers: {', '.join(agents)}")
        (cases,) = agents.values()
        judged = {case: verdict(one["behavior"], one["behaviorClose"]) for case, one in cases.items()}
        return cls(server, version, {case: judged[case] for case in sorted(judged, key=number)})

    def counts(self):
        return Counter(self.cases.values())

    def those(self, kind):
        """The numbers of the cases that came to this."""
        return [case for case, one in self.cases.items() if one == kind]

    def short_of(self, wanted):
        """Why this is no full pass, line by line; `wanted`: how many cases there have to be, 0 for any number."""
        for kind in KINDS:
            if kind not in PASSED and self.those(kind):
                yield f"{kind}: {spans(self.those(kind))}"
        if not self.cases or (wanted and len(self.cases) != wanted):
            yield f"{len(self.cases)} cases ran, not {wanted or 'any'}"

    def save(self, folder):
        path = folder / "autobahn" / f"{self.server}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder, server):
        """What was saved of a server, or None."""
        path = folder / "autobahn" / f"{server}.json"
        return cls(**json.loads(path.read_text())) if path.exists() else None


def saved(folder):
    """The Reports that lie in a folder."""
    found = (Report.load(folder, name) for name in SERVERS)
    return [one for one in found if one]


def spans(cases):
    """Numbers in few words: 1.1.2, 12.1.1 to 12.1.18."""
    runs = []
    for case in cases:
        last = runs and number(runs[-1][-1])
        if last and number(case) == [*last[:-1], last[-1] + 1]:
            runs[-1].append(case)
        else:
            runs.append([case])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def markdown(reports):
    """The README's section."""
    lines = [NOTE.format(cases=max(len(one.cases) for one in reports)), ""]
    lines += [line_of(["server", *KINDS]), line_of(["---", *["---:"] * len(KINDS)])]
    for one in reports:
        counts = one.counts()
        lines.append(line_of([f"{one.server} {one.version}", *(f"{counts[kind]}" for kind in KINDS)]))
    lines += ["", "By number:", ""]
    for one in reports:
        listed = "; ".join(f"{kind} {spans(one.those(kind))}" for kind in LISTED if one.those(kind))
        lines.append(f"- {one.server}: {listed or 'all OK'}")
    return "\n".join(lines)


def line_of(cells):
    return "| " + " | ".join(cells) + " |"


def write(section):
    """Put the section between the README's markers."""
    before = README.read_text(encoding="utf-8")
    if not MARKERS.search(before):
        raise ValueError(f"{README} has no <!-- autobahn:begin --> … <!-- autobahn:end -->")
    README.write_text(MARKERS.sub(lambda found: f"{found[1]}{section}\n{found[2]}", before), encoding="utf-8")
