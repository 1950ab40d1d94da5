"""What a scenario measures, and the arithmetic on it: samples, medians, ratios of the same round.

A ratio is taken within each round and only then is the median taken, so that a slow minute of the machine
falls on both sides of it. Knows nothing of servers; tables, plots and targets read `Results`.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

OURS = "greenserve"


@dataclass(frozen=True, slots=True)
class Metric:
    """A column: `higher` says whether more is better; `digits` after the point when printed.

    compared: whether a ratio to greenserve means anything (a chosen rate is no result).
    """

    key: str
    title: str
    unit: str
    higher: bool = True
    digits: int = 0
    compared: bool = True

    def show(self, value):
        return f"{value:,.{self.digits}f}"


@dataclass(slots=True)
class Sample:
    """One measurement of one peer in one round; `value` is None where there was none, and `note` says why."""

    peer: str
    metric: str
    value: float | None
    round: int = 0
    note: str = ""
    detail: dict = field(default_factory=dict)


@dataclass
class Results:
    """All samples of one scenario, as they lie in bench-results/<scenario>.json."""

    scenario: str
    command: str = ""
    machine: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    missing: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    samples: list = field(default_factory=list)

    def values(self, peer, metric):
        """round → value."""
        return {
            one.round: one.value
            for one in self.samples
            if one.peer == peer and one.metric == metric and one.value is not None
        }

    def median(self, peer, metric):
        values = self.values(peer, metric)
        return median(values.values()) if values else None

    def spread(self, peer, metric):
        values = self.values(peer, metric).values()
        return (min(values), max(values)) if values else None

    def note(self, peer, metric):
        return next(
            (one.note for one in self.samples if one.peer == peer and one.metric == metric and one.note), ""
        )

    def ratio(self, over, under, metric, under_metric=None):
        """Median over the rounds of over's value ÷ under's in the same round; None if no round has both."""
        top, bottom = self.values(over, metric), self.values(under, under_metric or metric)
        ratios = [top[one] / bottom[one] for one in top if bottom.get(one)]
        return median(ratios) if ratios else None

    def peers(self):
        return list(dict.fromkeys(one.peer for one in self.samples))

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (folder / f"{self.scenario}.json").write_text(text + "\n")

    @classmethod
    def load(cls, folder, scenario):
        """The saved results, or None."""
        path = Path(folder) / f"{scenario}.json"
        if not path.exists():
            return None
        data = json.loads(path.read_text())
        data["samples"] = [Sample(**one) for one in data["samples"]]
        return cls(**data)
