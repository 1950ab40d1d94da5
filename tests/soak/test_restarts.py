"""Deploys behind nginx in small, and that a lost request is seen. `make soak` does it whole."""

from __future__ import annotations

import pytest
from tests.soak.restarts import Restarts
from tests.support.servers.nginx import NGINX

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")


def test_no_post_is_lost() -> None:
    restarts = Restarts(600, 3)
    restarts.run()
    assert restarts.lost == []
    assert (restarts.answered, len(restarts.stopping)) == (600, 3)


def test_one_that_is_lost_or_runs_twice_is_found_out() -> None:
    restarts = Restarts(4, 1)
    restarts._compare(["0", "1", "1", "2"])
    assert restarts.lost == ["1: run 2 times", "3: answered, and never run"]
