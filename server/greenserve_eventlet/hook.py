"""install: from now on `import eventlet` imports greenserve_eventlet, here and in child processes.

Called by `python -m greenserve_eventlet` and by `greenserve --eventlet`. The folder standin/ does the same for what
reads sys.path: child processes find a package `eventlet` there that calls replace_stand_in(), and importlib.metadata a
version of eventlet that libraries accept.

Invariant: eventlet itself is never used beside this package. Two hubs in one process block each other, so if eventlet
is loaded already, this is an error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import greenserve_eventlet
from greenserve_eventlet.names import NAMES
from greenserve_hub import HubError

STAND_IN: Final = str(Path(__file__).with_name("standin"))
VARIABLE: Final = "GREENSERVE_EVENTLET"


def install() -> None:
    """Make `import eventlet` mean this package. Repeatable. Switches: never. HubError if eventlet is loaded already."""
    loaded = sys.modules.get("eventlet")
    if loaded is not None and loaded is not greenserve_eventlet:
        raise HubError(
            f"eventlet is loaded already, from {getattr(loaded, '__file__', None)}, and two hubs in one process block "
            "each other: start the program with `python -m greenserve_eventlet`, or remove the import that comes first"
        )
    NAMES.take("eventlet")
    sys.modules["eventlet"] = greenserve_eventlet
    if STAND_IN not in sys.path:
        sys.path.insert(1, STAND_IN)  # behind the program's own folder, before all installed packages
    _tell_children()


def _tell_children() -> None:
    os.environ[VARIABLE] = "1"
    before = os.environ.get("PYTHONPATH")
    if before is None or STAND_IN not in before.split(os.pathsep):
        os.environ["PYTHONPATH"] = STAND_IN if not before else f"{STAND_IN}{os.pathsep}{before}"


def replace_stand_in(name: str) -> None:
    """Put this package in the place of the module `name`, which is being imported. Switches: never."""
    del sys.modules[name]
    install()
