"""epoll, where it differs from the other pollers."""

from __future__ import annotations

import select

import pytest

from greenserve_hub.pollers.edge import EpollPoller


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll here")
def test_epoll_refuses_what_the_kernel_cannot_watch(tmp_path):
    poller = EpollPoller()
    with open(tmp_path / "file", "w") as file, pytest.raises(PermissionError):
        poller.register(file.fileno())
    poller.close()
