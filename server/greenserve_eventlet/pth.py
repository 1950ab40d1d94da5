"""install_pth and remove_pth: a file in site-packages that obeys GREENSERVE_EVENTLET=1 in every Python of a venv.

For console scripts such as `celery`, whose first line nobody wants to change. Facts: only a .pth file runs before a
console script, and an extra of a distribution can't bring one: it can only require another distribution, which would
be a second name to publish and to trust. A .pth file in greenserve's own wheel would run for everybody who installs
greenserve. Decision: it is written on demand, by a command that says where, and removed by another one.

Facts: each start of Python runs the file. Decision: without the variable it reads the environment and ends; with it, it
puts one folder on sys.path and imports nothing.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Final

_NAME: Final = "greenserve_eventlet.pth"
_LINE: Final = (
    'import os, sys, importlib.util; os.environ.get("GREENSERVE_EVENTLET", "").lower() in ("1", "true", "yes", "on") '
    'and sys.path.insert(0, os.path.join(importlib.util.find_spec("greenserve_eventlet").submodule_search_locations[0],'
    ' "standin"))\n'
)


def install_pth() -> int:
    """Write the file, say where it is, and return the exit code."""
    return _change("wrote", lambda path: path.write_text(_LINE))


def remove_pth() -> int:
    """Remove the file, say where it was, and return the exit code."""
    return _change("removed", lambda path: path.unlink(missing_ok=True))


def _change(done: str, change: Callable[[Path], object]) -> int:
    path = Path(sysconfig.get_path("purelib")) / _NAME
    try:
        change(path)
    except OSError as error:
        sys.stderr.write(
            f"greenserve_eventlet: can't write {path}: {error.strerror}; run this in a virtual environment\n"
        )
        return 1
    sys.stdout.write(f"greenserve_eventlet: {done} {path}\n")
    return 0
