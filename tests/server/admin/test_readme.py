"""The README's tables are what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.servers.masters import fake_master

import greenserve.admin
from greenserve.admin.access import Access
from greenserve.admin.app import AdminApp
from greenserve.admin.history import History
from greenserve.config.values.binds import parse_bind
from greenserve.metrics.names import HISTOGRAMS, METRICS

README = (Path(greenserve.admin.__file__).parent / "README.md").read_text()


def test_every_page_has_its_row():
    with fake_master() as master:
        app = AdminApp(master, History(master, lambda: 0.0), Access(parse_bind("unix:/a"), ""), False)
    told = re.findall(r"^\| `(/[^`]*)` \| (GET|POST) \| (\w+) ", README, re.MULTILINE)
    assert {(path, method) for path, method, _ in told} == (
        {(path, "GET") for path in app._gets} | {(path, "POST") for path in app._posts}
    )
    assert {path for path, _, who in told if who == "everybody"} == app._open


def test_every_metric_has_its_row():
    told = set(
        re.findall(r"^\| `greenserve_(\w+)` \| (\w+) \| ([\w, ]*?) *\| (.*) \|$", README, re.MULTILINE)
    )
    wanted = {("workers", "gauge", "state", "Workers by their state.")}
    wanted.add(("build_info", "gauge", "version", "The version of greenserve."))
    for metric in METRICS:
        labels = ["worker"] * (metric.kind == "gauge") + [*metric.labels]
        family = metric.family + "_total" * (metric.kind == "counter")
        wanted.add((family, metric.kind, ", ".join(labels), metric.help))
    wanted |= {(one.family, "histogram", "le", one.help) for one in HISTOGRAMS}
    assert told == wanted
