"""exposition: what Prometheus reads, by its own parsers and by its own program."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text
from tests.support.programs.commands import command
from tests.support.servers.masters import FakeMaster, fake_master
from tests.support.servers.ports import free_port
from tests.support.servers.running import serving
from tests.support.times import eventually

from greenserve.admin.exposition import OPEN_METRICS, TEXT, escaped, escaped_help, exposition
from greenserve.metrics.names import HISTOGRAMS, METRICS

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with fake_master() as master:
        master.works(1, 100, 0.02)
        master.works(2, 10, 3.0, "5xx")
        master.rows[1]["resident_bytes"] = 1 << 26
        master.rows[2]["hub_lag_us"] = 1500
        yield master


def samples(master: FakeMaster, is_open: bool) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = exposition(master.workers(), master.totals(), is_open)
    families = (parse_open if is_open else parse_text)(text)
    return {
        (one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples
    }


@pytest.mark.parametrize("is_open", [False, True])
def test_prometheus_clients_parser_reads_all_of_it(master, is_open):
    found = samples(master, is_open)

    def value(name: str, **labels: str) -> float:
        return found["greenserve_" + name, frozenset(labels.items())]

    assert value("requests_total") == 110
    assert value("responses_total", **{"class": "5xx"}) == 10
    assert value("resident_memory_bytes", worker="1") == 1 << 26
    assert value("hub_lag_seconds", worker="2") == 0.0015
    assert value("workers", state="ready") == 2
    assert value("request_duration_seconds_count") == 110
    assert value("request_duration_seconds_sum") == pytest.approx(32)
    assert value("request_duration_seconds_bucket", le="+Inf") == 110
    names = {name for name, _ in found}
    for metric in METRICS:
        assert f"greenserve_{metric.family}{'_total' if metric.kind == 'counter' else ''}" in names
    for histogram in HISTOGRAMS:
        assert f"greenserve_{histogram.family}_count" in names


@pytest.mark.parametrize("is_open", [False, True])
def test_a_scrape_has_no_line_that_would_fail_it(master, is_open):
    text = exposition(master.workers(), master.totals(), is_open)
    assert "\r" not in text
    assert "\n\n" not in text
    assert text.endswith("# EOF\n") is is_open
    assert ("# UNIT" in text) is is_open
    assert " # {" not in text, "an exemplar"


def test_counters_stay_when_a_worker_dies_and_its_gauges_go(master):
    before = samples(master, False)
    master.dies(2)
    after = samples(master, False)
    assert after["greenserve_requests_total", frozenset()] == 110
    assert after["greenserve_workers_ended_total", frozenset()] == 1
    assert {one for one in before if one not in after} == {
        (name, labels) for name, labels in before if ("worker", "2") in labels
    }
    for (name, labels), value in before.items():
        if name.endswith(("_total", "_bucket", "_sum", "_count")):
            assert after[name, labels] >= value


def test_texts_are_escaped():
    assert escaped('a "b" \\ \n') == 'a \\"b\\" \\\\ \\n'
    assert escaped_help('a "b" \\ \n') == 'a "b" \\\\ \\n'


@pytest.mark.skipif(not PROMTOOL, reason="needs promtool (Debian: prometheus)")
def test_promtool_has_no_complaint_but_about_names(master):
    text = exposition(master.workers(), master.totals(), False)
    told = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert "error while linting" not in told.stderr
    assert not told.stderr, told.stderr


@pytest.mark.skipif(not PROMETHEUS, reason="needs prometheus (Debian: prometheus)")
@pytest.mark.parametrize("accept", ["", "text/plain;version=0.0.4;q=1,*/*;q=0.1"])
def test_a_real_prometheus_scrapes_it(accept, tmp_path: Path):
    """It asks for OpenMetrics first, and reads what the Content-Type says; behind a proxy it may ask for less."""
    token, types = "a-token-of-the-test", []
    (tmp_path / "hello.py").write_text(
        "def app(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n"
    )
    arguments = ["--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0", "--admin-token", token]
    with command("-m", "greenserve", "hello:app", *arguments, folder=tmp_path) as server:
        admin = server.until(r"admin pages at (http://\S+)")[1]
        url = server.until(r"listening at (http://\S+)")[1]
        assert requests.get(url, timeout=30).text == "hello"

        def proxy(environ: dict[str, Any], start: Any) -> list[bytes]:
            fields = {
                "Authorization": environ["HTTP_AUTHORIZATION"],
                "Accept": accept or environ["HTTP_ACCEPT"],
            }
            answer = requests.get(f"{admin}/metrics", headers=fields, timeout=30)
            types.append(answer.headers["Content-Type"])
            start(f"{answer.status_code} OK", [("Content-Type", types[-1])])
            return [answer.content]

        with serving(proxy) as between, prometheus(between.port, token, tmp_path) as port:
            eventually(lambda: asked(port, "greenserve_requests_total") == ["1"], "the scrape")
            assert asked(port, 'up{job="greenserve"}') == ["1"]
            assert asked(port, "greenserve_request_duration_seconds_count") == ["1"]
            assert int(asked(port, "scrape_samples_scraped")[0]) > 100
    assert set(types) == {TEXT if accept else OPEN_METRICS}


@contextmanager
def prometheus(target: int, token: str, folder: Path) -> Iterator[int]:
    """One that scrapes the port `target`; its own port."""
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "scrape_configs": [
            {
                "job_name": "greenserve",
                "authorization": {"credentials": token},
                "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    arguments = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    command = [str(PROMETHEUS), *(f"--{name}={value}" for name, value in arguments.items())]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()


def asked(port: int, query: str) -> list[str]:
    try:
        answer = requests.get(f"http://127.0.0.1:{port}/api/v1/query", {"query": query}, timeout=30)
        return [one["value"][1] for one in answer.json()["data"]["result"]]
    except (requests.RequestException, KeyError, ValueError):
        return []
