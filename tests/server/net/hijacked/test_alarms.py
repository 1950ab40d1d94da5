"""alarms: a descriptor that can be read while it is told so, with an eventfd and without."""

from __future__ import annotations

import os
import select

import pytest

from greenserve.net.hijacked.alarms import Alarm

pytestmark = pytest.mark.no_hub

KINDS = [
    pytest.param(True, marks=pytest.mark.skipif(not hasattr(os, "eventfd"), reason="no eventfd here")),
    False,
]


def _is_ready(alarm: Alarm) -> bool:
    return bool(select.select([alarm.fd], [], [], 0)[0])


@pytest.mark.parametrize("eventfd", KINDS)
def test_can_be_read_from_set_to_clear(eventfd: bool):
    alarm = Alarm(eventfd=eventfd)
    assert not _is_ready(alarm)
    for _ in range(2):
        alarm.set()
        alarm.set()
        assert _is_ready(alarm)
        assert _is_ready(alarm)
        alarm.clear()
        alarm.clear()
        assert not _is_ready(alarm)
    alarm.close()


@pytest.mark.parametrize("eventfd", KINDS)
def test_closes_once_and_is_then_of_no_use(eventfd: bool):
    before = os.listdir("/proc/self/fd")
    alarm = Alarm(eventfd=eventfd)
    alarm.set()
    alarm.close()
    assert alarm.fd == -1
    alarm.close()
    alarm.set()
    alarm.clear()
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("eventfd", KINDS)
def test_closes_when_nobody_has_it(eventfd: bool):
    before = os.listdir("/proc/self/fd")
    Alarm(eventfd=eventfd).set()
    assert len(os.listdir("/proc/self/fd")) == len(before)
