"""Programs that patch themselves, each in a process of its own."""

from __future__ import annotations

import textwrap
from pathlib import Path

from tests.support.programs.commands import run_python


def run(
    script: str, *arguments: str, patch: bool = True, before: str = "", filters: tuple[str, ...] = ()
) -> str:
    """What the script printed. It is patched before its first line, unless told otherwise, and must end well.

    `before` are imports that come ahead of the patch; warnings are errors but for `filters`.
    """
    head = f"{before}\nimport greenserve\n" + ("greenserve.monkey_patch()\n" if patch else "")
    return _run(["-c", head + textwrap.dedent(script), *arguments], filters)


def run_file(path: Path, script: str, *arguments: str, filters: tuple[str, ...] = ()) -> str:
    """What the script printed, as a file, which processes that multiprocessing starts can import. It patches itself."""
    path.write_text(textwrap.dedent(script))
    return _run([str(path), *arguments], filters)


def _run(arguments: list[str], filters: tuple[str, ...]) -> str:
    done = run_python("-W", "error", *(f"-W{one}" for one in filters), *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout
