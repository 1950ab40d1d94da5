"""Monkey patching: programs that know nothing of green threads run on them.

From low to high: stdlib/ (where the standard library is touched), locks/, green/ (the replacements), monkey, originals.
A green module is imported when it is put in place, so that a program that never patches does not pay for it.
"""

from greenserve_hub.patching.monkey import MonkeyPatchWarning, PatchReport, is_monkey_patched, monkey_patch
from greenserve_hub.patching.originals import import_patched, original

__all__ = [
    "MonkeyPatchWarning",
    "PatchReport",
    "import_patched",
    "is_monkey_patched",
    "monkey_patch",
    "original",
]
