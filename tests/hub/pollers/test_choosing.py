"""The pollers by name."""

from __future__ import annotations

import pytest

from greenserve_hub.pollers.choosing import available_pollers, make_poller


def test_auto_takes_the_best_and_a_wrong_name_lists_the_right_ones():
    poller = make_poller()
    assert poller.name == available_pollers()[0]
    poller.close()
    names = ", ".join(available_pollers())
    with pytest.raises(ValueError, match=f"'nosuch' on this machine: choose one of auto, {names}"):
        make_poller("nosuch")
