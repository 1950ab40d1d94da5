"""`python -m greenserve.patched script.py [arguments]`, or `-m module`: patch everything, then run a program unchanged.

For programs that can't be edited. The program sees the same command line and sys.path as without this.
"""

from __future__ import annotations

import errno
import os
import runpy
import sys
from pathlib import Path

from greenserve_hub.errors import HubError
from greenserve_hub.patching.monkey import patch_early

_USAGE = "usage: python -m greenserve.patched [-m MODULE | SCRIPT] [ARGUMENTS...]\n"


def main() -> int:
    """Run the program and return the exit code: 2 if there is no program, or the process can't be patched."""
    arguments = sys.argv[1:]
    by_name = arguments[:1] == ["-m"]
    del arguments[: int(by_name)]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stderr.write(_USAGE)
        return 0 if arguments else 2
    if not by_name and not os.path.exists(arguments[0]):
        sys.stderr.write(f"greenserve.patched: can't open {arguments[0]}: {os.strerror(errno.ENOENT)}\n")
        return 2
    try:
        patch_early()
    except HubError as error:
        sys.stderr.write(f"greenserve.patched: {error}\n")
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
