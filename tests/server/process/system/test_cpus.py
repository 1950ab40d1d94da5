"""cpus: how many workers `auto` stands for."""

from __future__ import annotations

import os

import pytest

from greenserve.process.system.cpus import usable_cpus


@pytest.fixture
def eight(monkeypatch):
    """A machine that lets this process use eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


@pytest.mark.usefixtures("eight")
def test_without_a_quota_the_affinity_counts(tmp_path):
    assert usable_cpus(tmp_path) == 8


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),  # one and a half: two workers use it up, one can't
        ("10000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("100000\n", 8),
        ("nonsense\n", 8),
        ("100000 0\n", 8),
    ],
)
def test_cgroup_v2(tmp_path, text, count):
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cpus(tmp_path) == count


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(("quota", "count"), [("-1\n", 8), ("300000\n", 3), ("50000\n", 1), ("x\n", 8)])
def test_cgroup_v1(tmp_path, quota, count):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert usable_cpus(tmp_path) == count


def test_where_the_system_knows_no_affinity_all_cpus_count(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cpus(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cpus(tmp_path) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_the_affinity_of_a_real_process(tmp_path):
    child = os.fork()
    if child == 0:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os._exit(usable_cpus(tmp_path))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
