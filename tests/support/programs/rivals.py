"""Stand-ins for gevent, eventlet and ddtrace, which are large and not installed with the tests: what they publish of
what they have done, under their names, as gevent 26.9, eventlet 0.41 and ddtrace 4.16 have it."""

from __future__ import annotations

import textwrap
from pathlib import Path

_FILES = {
    # What engineio's driver imports, and a saved attribute for each name that is patched.
    "gevent/__init__.py": "class Greenlet: pass\ndef sleep(seconds=0): pass",
    "gevent/event.py": "class Event: pass",
    "gevent/queue.py": "class JoinableQueue: pass\nclass Empty(Exception): pass",
    "gevent/monkey.py": """
        saved = {}
        def patch_all():
            import time
            saved["time"] = {"sleep": time.sleep}
            saved["_gevent_saved_patch_all_module_settings"] = {}
        """,
    "eventlet/__init__.py": "from eventlet.patcher import monkey_patch",
    "eventlet/patcher.py": """
        already_patched = {}
        def monkey_patch():
            already_patched["time"] = True
        """,
    "ddtrace/__init__.py": "",
    "ddtrace/auto.py": "import ddtrace.bootstrap.sitecustomize",
    "ddtrace/bootstrap/__init__.py": "",
    "ddtrace/bootstrap/sitecustomize.py": """
        import ddtrace.bootstrap.cloning as cloning
        cloning.cleanup_loaded_modules()
        """,
    "ddtrace/bootstrap/cloning.py": """
        import os, sys
        from importlib.util import find_spec
        asked = os.environ.get("DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE", "auto")
        enabled = find_spec("gevent") is not None if asked == "auto" else asked == "1"
        def cleanup_loaded_modules():
            if enabled:
                for name in ("time", "concurrent.futures", "threading", "_thread", "reprlib"):
                    for loaded in [one for one in sys.modules if one == name or one.startswith(name + ".")]:
                        del sys.modules[loaded]
        """,
}


def install(folder: Path, *names: str) -> None:
    """Put the packages of these names into a folder."""
    for file, text in _FILES.items():
        if file.partition("/")[0] in names:
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip())
