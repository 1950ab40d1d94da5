"""How many random examples a property is tried with.

`GREENSERVE_TEST_THOROUGHNESS=50` tries fifty times as many, for a night's run. No deadline: a busy machine is no bug.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

THOROUGHNESS: Final = float(os.environ.get("GREENSERVE_TEST_THOROUGHNESS", "1"))


def examples(count: int) -> settings:
    """For use as a decorator."""
    return settings(
        max_examples=max(1, int(count * THOROUGHNESS)),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
