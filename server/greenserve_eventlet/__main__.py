"""`python -m greenserve_eventlet SCRIPT|-m MODULE [arguments]`: run a program whose `import eventlet` is greenserve's.

The program sees the same command line and sys.path as without this, and one more folder on sys.path. It is not patched
unless it does so itself.
"""

from __future__ import annotations

import errno
import os
import runpy
import sys
from pathlib import Path

from greenserve_eventlet.hook import install
from greenserve_eventlet.pth import install_pth, remove_pth
from greenserve_hub import HubError

_USAGE = """\
usage: python -m greenserve_eventlet [-m MODULE | SCRIPT] [ARGUMENTS...]
       python -m greenserve_eventlet --install-pth | --remove-pth
"""
_COMMANDS = {"--install-pth": install_pth, "--remove-pth": remove_pth}


def main() -> int:
    """Run the program and return the exit code: 2 if there is no program, or eventlet itself is loaded already."""
    arguments = sys.argv[1:]
    if len(arguments) == 1 and arguments[0] in _COMMANDS:
        return _COMMANDS[arguments[0]]()
    by_name = arguments[:1] == ["-m"]
    del arguments[: int(by_name)]
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write(_USAGE)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    if not by_name and not os.path.exists(arguments[0]):
        sys.stderr.write(f"greenserve_eventlet: can't open {arguments[0]}: {os.strerror(errno.ENOENT)}\n")
        return 2
    try:
        install()
    except HubError as error:
        sys.stderr.write(f"greenserve_eventlet: {error}\n")
        return 2
    sys.argv = arguments
    if by_name:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
