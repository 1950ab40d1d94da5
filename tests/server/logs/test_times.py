"""times: local time with its zone, right to the second."""

import time
from collections.abc import Iterator

import pytest

from greenserve.logs.times import local_time


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()
    local_time(0)  # nothing kept for the tests that follow


@pytest.mark.parametrize(
    ("name", "apache", "iso"),
    [
        ("UTC0", "[05/Jul/2026:03:04:05 +0000]", ("2026-07-05", "03:04:05", "+0000")),
        ("XXX-05:30", "[05/Jul/2026:08:34:05 +0530]", ("2026-07-05", "08:34:05", "+0530")),
        ("XXX+03:30", "[04/Jul/2026:23:34:05 -0330]", ("2026-07-04", "23:34:05", "-0330")),
    ],
)
def test_local_time(zone: pytest.MonkeyPatch, name: str, apache: str, iso: tuple[str, str, str]) -> None:
    zone.setenv("TZ", name)
    time.tzset()
    local_time(0)  # nothing kept from another zone
    now = local_time(1783220645.999)
    assert now.apache == apache
    assert (now.date, now.time, now.zone) == iso


def test_it_changes_with_the_second_in_both_directions() -> None:
    later, sooner = local_time(1783220646.0), local_time(1783220645.0)
    assert local_time(1783220646.5) == later != sooner
    assert local_time(1783220646.5) is local_time(1783220646.9)
