"""pydevd, the debugger under debugpy (VS Code) and PyCharm, before or after the patch.

Facts: it wraps what starts threads, so that each traces itself, and keeps what it has wrapped in the modules. Patching
puts ours in the place of its wrapper, and green threads would meet no breakpoint. It asks which thread it is in by the
first frame: below threading's own ones it waits until the Thread is known, and below any other it has one made up,
which is the wrong one from then on: it is told of a stop, and asked for a value that it never gives. From Python 3.12
on it keeps that for each OS thread, in a module in C. Decision: it wraps once more, keeps what it knows for each green
thread, and the first frame of a green thread that is a Thread looks as threading's does. Its own threads stay as they
were started. Cost: in a debugged program a traceback shows a wrong line for that frame.

Knows it by its names, and imports none of it.
"""

from __future__ import annotations

import _thread
import sys
import threading
from typing import Any, Final

from greenserve_hub.patching.green.green_thread import ThreadBody, get_ident, local
from greenserve_hub.patching.stdlib.import_hooks import when_imported

_WRAPPED: Final = ("_original_start_new_thread", "_original_start_joinable_thread")


def follow_debugger() -> None:
    """Have it find green threads, now or when it is imported. Switches: never."""
    when_imported("_pydev_bundle.pydev_monkey", _follow)


def _follow(debugger: Any) -> None:
    ThreadBody.run.__code__ = ThreadBody.run.__code__.replace(
        co_name="_bootstrap", co_filename=threading.__file__
    )
    kept = [vars(module).pop(name, None) for module in (_thread, threading) for name in _WRAPPED]
    if any(kept):
        debugger.patch_thread_modules()
    for name, module in tuple(sys.modules.items()):
        if name.startswith("_pydevd_sys_monitoring") and hasattr(module, "_thread_local_info"):
            vars(module).update(_get_ident=get_ident, _thread_local_info=local())
