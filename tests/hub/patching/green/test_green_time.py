"""time.sleep of a patched program."""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction

import pytest

from greenserve_hub.patching.green import green_time


@pytest.mark.parametrize("seconds", [[], "1", 1j, None, -1, -0.1, float("nan")])
def test_what_is_no_time_is_refused_in_the_words_of_the_standard(seconds: object) -> None:
    def refusal(sleep: object) -> tuple[type, str]:
        with pytest.raises((TypeError, ValueError)) as caught:
            sleep(seconds)  # type: ignore[operator]
        return caught.type, str(caught.value)

    kind, text = refusal(green_time.sleep)
    assert kind is refusal(time.sleep)[0]
    if kind is TypeError:
        assert text == refusal(time.sleep)[1]


def test_any_real_number_is_a_time() -> None:
    # As it is for the standard since Python 3.15.
    for seconds in (Decimal("0.001"), Fraction(1, 1000), 0, False):
        green_time.sleep(seconds)  # type: ignore[arg-type]
