"""Programs that patch themselves, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from tests.support.times import PATIENCE


def run(
    script: str, *arguments: str, patch: bool = True, before: str = "", filters: tuple[str, ...] = ()
) -> str:
    """What the script printed. It is patched before its first line, unless told otherwise, and must end well.

    `before` are imports that come ahead of the patch; warnings are errors but for `filters`.
    """
    head = f"{before}\nimport greenserve\n" + ("greenserve.monkey_patch()\n" if patch else "")
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            *(f"-W{one}" for one in filters),
            "-c",
            head + textwrap.dedent(script),
            *arguments,
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout
