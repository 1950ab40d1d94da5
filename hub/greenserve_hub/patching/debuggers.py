"""pydevd, the debugger in debugpy (VS Code) and PyCharm, imported before or after the patch.

Facts: pydevd wraps the functions that start threads, so that each thread traces itself, and stores the originals in the
modules. Patching replaces its wrappers, so green threads would meet no breakpoint. It identifies the current thread by
the first frame. If that frame is threading's, it waits until the Thread is known. Otherwise it makes up a Thread, which
is wrong from then on: it gets the stop, and is asked for values that it never gives. From Python 3.12 on pydevd keeps
this per OS thread, in a module in C. Decision: it wraps again, keeps its data per green thread, and the first frame of
a green thread that is a Thread looks like threading's. Its own threads stay as they were started. Cost: in a debugged
program, a traceback shows a wrong line for that frame.

Knows pydevd by its names, and imports nothing of it.
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
    """Make pydevd find green threads, now or when it is imported. Switches: never."""
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
