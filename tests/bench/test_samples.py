"""The arithmetic under the tables: ratios within rounds, and no target passed that was not measured."""

import pytest
from tests.bench import tables, targets
from tests.bench.connections import Crowd
from tests.bench.openloop import percentile
from tests.bench.samples import Metric, Results, Sample

pytestmark = pytest.mark.repository

SPEED = Metric("rps@64", "64 connections", "requests/s")
TIME = Metric("seconds", "seconds", "s", higher=False)


class Scenario:
    NAME, TITLE, METRICS = "rps", "Requests per second", [SPEED]


def results(metric, **values):
    samples = [
        Sample(peer, metric, value, n) for peer, many in values.items() for n, value in enumerate(many)
    ]
    return Results("rps", "command", versions=dict.fromkeys(values, "1.0"), samples=samples)


def test_a_ratio_is_taken_within_each_round_before_the_median():
    # The machine was slower in the second round: the quotient of the medians is 0.9, and no round saw that.
    got = results("rps@64", greenserve=[100, 50, 90], bjoern=[200, 100, 30])
    assert got.ratio("greenserve", "bjoern", "rps@64") == 0.5


def test_a_round_that_one_of_them_missed_has_no_ratio():
    got = results("rps@64", greenserve=[100, 50], bjoern=[200, None])
    assert got.ratio("greenserve", "bjoern", "rps@64") == 0.5
    assert got.ratio("greenserve", "granian", "rps@64") is None


def test_above_one_means_that_greenserve_is_better_whichever_way_the_metric_counts():
    assert tables.advantage(results("rps@64", greenserve=[100], bjoern=[50]), "bjoern", SPEED) == 2
    assert tables.advantage(results("seconds", greenserve=[1], bjoern=[2]), "bjoern", TIME) == 2


def test_results_survive_their_file(tmp_path):
    before = results("rps@64", greenserve=[100.5])
    before.save(tmp_path)
    assert Results.load(tmp_path, "rps") == before
    assert Results.load(tmp_path, "latency") is None


def test_a_target_without_its_measurement_is_not_passed():
    verdicts = list(targets.judge([(Scenario, results("rps@64", greenserve=[100], bjoern=[100]))]))
    assert [one.verdict for one in verdicts] == [targets.PASS, *[targets.UNKNOWN] * 3]


def test_a_missed_target_says_so():
    verdicts = list(targets.judge([(Scenario, results("rps@64", greenserve=[10], bjoern=[100]))]))
    assert verdicts[0].verdict == targets.MISS
    assert verdicts[0].measured == "0.10x"


def test_a_normal_client_that_was_not_answered_beside_slow_ones_is_a_miss():
    class Slow:
        NAME = "slow-clients"

    got = results("p99_heads", greenserve=[5.0, 101.0])  # the slowest round counts
    got.samples.append(Sample("greenserve", "p99_read", None, note="3 of 150 probes unanswered"))
    verdicts = {one.text: one for one in targets.judge([(Slow, got)])}
    by_kind = {
        kind: verdicts[f"beside 2,000 slow clients ({kind}): p99 ≤ 100 ms"].verdict
        for kind in ("slow heads", "slow bodies, read", "slow readers, file")
    }
    assert by_kind == {
        "slow heads": targets.MISS,
        "slow bodies, read": targets.MISS,
        "slow readers, file": targets.UNKNOWN,
    }


def test_why_a_peer_has_no_number_stands_below_the_table():
    got = results("rps@64", greenserve=[100])
    got.samples.append(Sample("bjoern", "rps@64", None, note="failed: it died"))
    assert "bjoern: failed: it died" in tables.text(Scenario, got)
    assert "bjoern: failed: it died" in tables.markdown(Scenario, got)


def test_percentiles_of_few_values():
    assert [percentile([1, 2, 3, 4], share) for share in (0, 0.5, 0.99, 1.0)] == [1, 3, 4, 4]


def test_a_crowd_at_a_closed_port_reports_the_refusal():
    with Crowd(("127.0.0.1", 1)) as crowd:
        assert crowd.open(3, seconds=5) == 0
        assert sum(crowd.failures.values()) == 3
