"""`python -m greenserve_eventlet SCRIPT|-m MODULE [arguments]`: run a program whose `import eventlet` is greenserve's.

The program sees the same command line and sys.path as without this, and one more folder on sys.path. It is not patched
unless it does so itself.
"""

from __future__ import annotations

import sys

from greenserve.patched import run_program
from greenserve_eventlet.hook import install
from greenserve_eventlet.pth import install_pth, remove_pth

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
    return run_program(arguments, "greenserve_eventlet", _USAGE, install)


if __name__ == "__main__":
    sys.exit(main())
