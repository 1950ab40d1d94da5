#!/usr/bin/env bash
# Hypothesis 6.170.17, CPython 3.11, 3.12, 3.13 and 3.15: after gc.freeze(), as programs call it before they fork, register_random() warns
# that an object could be garbage collected, although the program holds it. It asks gc.get_referrers(), and that passes
# over frozen objects, so the holder is not seen. Hypothesis also registers a generator of its own, when the first
# test runs: on 3.15 and with warnings as errors, that test failed in a process that had frozen its objects before.
#
# For users of greenserve: a test run that calls gc.freeze() should run one test of Hypothesis before it.
source "$(dirname "$0")/lib.sh"
venv hypothesis==6.170.17
"$work/venv/bin/python" - <<'PROGRAM'
import gc
import random
import warnings

from hypothesis import register_random


class Holder:
    def __init__(self):
        self.source = random.Random(1)


def warned(holder):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        register_random(holder.source)
    return [str(one.message) for one in found]


first, second = Holder(), Holder()
before = warned(first)
gc.collect()
gc.freeze()
after = warned(second)
print("before gc.freeze():", before)
print("after gc.freeze():", after)
if before or not any("garbage collected" in text for text in after):
    raise SystemExit("changed")
PROGRAM
