"""`python -m greenserve.patched script.py [arguments]`, or `-m module`: patch everything, then run a program unchanged.

For programs that can't be edited. The program sees the same command line and sys.path as without this.
"""

from __future__ import annotations

import errno
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

from greenserve_hub.errors import HubError
from greenserve_hub.patching.monkey import patch_early

_USAGE = "usage: python -m greenserve.patched [-m MODULE | SCRIPT] [ARGUMENTS...]\n"


def main() -> int:
    """Run the program and return the exit code: 2 if there is no program, or the process can't be patched."""
    return run_program(sys.argv[1:], "greenserve.patched", _USAGE, patch_early)


def run_program(arguments: list[str], name: str, usage: str, prepare: Callable[[], object]) -> int:
    """Call `prepare()`, then run `[-m MODULE | SCRIPT] [ARGUMENTS...]` as Python would; return the exit code.

    The code is 2, with a line for the user that begins with `name`, if there is no program, or if `prepare` raises
    HubError.
    """
    by_name = arguments[:1] == ["-m"]
    arguments = arguments[int(by_name) :]
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write(usage)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    if not by_name and not os.path.exists(arguments[0]):
        sys.stderr.write(f"{name}: can't open {arguments[0]}: {os.strerror(errno.ENOENT)}\n")
        return 2
    try:
        prepare()
    except HubError as error:
        sys.stderr.write(f"{name}: {error}\n")
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
