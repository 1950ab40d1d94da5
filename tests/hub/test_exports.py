from __future__ import annotations

import pytest

import greenserve
import greenserve_hub
import greenserve_hub.greenio.hubs

pytestmark = pytest.mark.no_hub


def test_all_is_sorted_and_each_name_is_there():
    names = greenserve_hub.__all__
    assert names == sorted(set(names))
    for name in names:
        assert getattr(greenserve_hub, name).__module__


def test_what_eventlet_has_is_there():
    # The runtime's part of eventlet's top level; the rest is the server's, the patcher's or deprecated there.
    expected = """
        connect listen serve StopServe Event GreenPool GreenPile sleep spawn spawn_n spawn_after spawn_after_local
        kill Queue Semaphore BoundedSemaphore CappedSemaphore Timeout with_timeout wrap_is_timeout is_timeout
        getcurrent
    """
    assert set(expected.split()) <= set(greenserve_hub.__all__)


def test_what_eventlets_hubs_have_is_there():
    expected = {"get_hub", "use_hub", "trampoline", "notify_close", "notify_opened"}
    assert set(greenserve_hub.greenio.hubs.__all__) == expected
    assert greenserve.hubs is greenserve_hub.greenio.hubs
