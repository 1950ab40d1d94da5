"""poll and select, where they differ from the pollers that are told of changes."""

from __future__ import annotations

import socket

import pytest

from greenserve_hub.pollers.choosing import available_pollers, make_poller
from greenserve_hub.pollers.contract import HANGUP, READ
from greenserve_hub.pollers.level import SelectPoller


@pytest.mark.parametrize("name", [name for name in available_pollers() if name in ("poll", "select")])
def test_a_level_poller_tells_of_what_was_closed_behind_its_back(name):
    # An edge poller never hears of it: the kernel drops the registration with the descriptor.
    poller = make_poller(name)
    ends = socket.socketpair()
    fd = ends[0].fileno()
    poller.register(fd)
    poller.arm(fd, READ)
    ends[0].close()
    assert [(found, bits & HANGUP > 0) for found, bits in poller.poll(1)] == [(fd, True)]
    assert list(poller.poll(0)) == []
    ends[1].close()
    poller.close()


def test_select_says_which_descriptors_it_cannot_watch():
    with pytest.raises(OSError, match="descriptor 1024 is too large"):
        SelectPoller().register(1024)
