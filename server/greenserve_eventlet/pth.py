"""install_pth and remove_pth: a file in site-packages that obeys GREENSERVE_EVENTLET=1 in every Python of a venv.

For console scripts such as `celery`, whose first line nobody wants to change. Facts: only a .pth file runs before a
console script, and an extra of a distribution can't bring one: it can only require another distribution, which would
be a second name to publish and to trust. A .pth file in greenserve's own wheel would run for everybody who installs
greenserve. Decision: it is written on demand, by a command that says where, and removed by another one.

Facts: each start of Python runs the file. Decision: without the variable it reads the environment and ends; with it, it
puts one folder on sys.path and imports nothing.

Facts: Python reads these files in the order of their names, and another one may import eventlet. Decision: the name of
this one comes early. If eventlet itself is loaded all the same, Python ends: two hubs in one process block each other.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Final

from greenserve_eventlet.hook import STAND_IN

_NAME: Final = "0_greenserve_eventlet.pth"
_LOADED: Final = (
    "greenserve_eventlet: GREENSERVE_EVENTLET is set, but another .pth file has loaded eventlet itself already: "
    "remove that file, or unset the variable\n"
)
_GONE: Final = (
    "greenserve_eventlet: GREENSERVE_EVENTLET is set, but greenserve is no longer installed here: "
    f"remove {_NAME} from site-packages, or unset the variable\n"
)
_END: Final = "(os.write(2, {!r}), os._exit(2))"
_LINE: Final = (
    'import os, sys; os.environ.get("GREENSERVE_EVENTLET", "").lower() in ("1", "true", "yes", "on") and ('
    f"{_END.format(_GONE.encode())} if not os.path.isdir({STAND_IN!r}) else "
    f"{_END.format(_LOADED.encode())} "
    'if getattr(sys.modules.get("eventlet"), "__name__", "greenserve_eventlet") != "greenserve_eventlet" else '
    f"sys.path.insert(0, {STAND_IN!r}))\n"
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
