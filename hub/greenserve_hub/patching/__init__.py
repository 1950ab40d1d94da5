"""Monkey patching: programs that never heard of green threads run on them.

Layers: versions (the private names of the standard library, by Python version), thread_locks, places, import_hooks ·
loops, green_thread, green_time, green_os, green_select, green_socket, green_signal, green_subprocess, databases,
existing_locks · monkey · originals. What is green is imported when it is put in place, so that programs which never
patch don't pay for it.
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
