"""The limits table of server/README.md, made from the registry.

`python -m greenserve.config.table` prints it; with a file's name it puts the table between that
file's markers. Called by people and by the test that compares the README.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from greenserve.config.settings import SETTINGS

__all__ = ["BEGIN", "END", "between_markers", "limits_table", "main"]

BEGIN = "<!-- limits:begin -->"
END = "<!-- limits:end -->"


def limits_table() -> str:
    """Give the markdown table of everything that stops something, in the registry's order."""
    rows = [
        f"| `{s.flag}` | {s.kind.format(s.default)} | {s.protects} | {s.precedent} |"
        for s in SETTINGS.values()
        if s.protects
    ]
    return "\n".join(["| setting | default | what it stops | precedent |", "|---|---|---|---|", *rows])


def between_markers(text: str) -> str:
    """Give the part of a document between the markers; ValueError where they are missing."""
    head, begin, rest = text.partition(BEGIN)
    body, end, _ = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END} after {len(head)} characters")
    return body.strip()


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, or write it between the markers of each file that is named."""
    names = sys.argv[1:] if argv is None else list(argv)
    if not names:
        sys.stdout.write(limits_table() + "\n")
    for name in names:
        path = Path(name)
        text = path.read_text(encoding="utf-8")
        old = between_markers(text)
        body = text.partition(BEGIN)[2].partition(END)[0]
        path.write_text(
            text.replace(BEGIN + body + END, f"{BEGIN}\n{limits_table()}\n{END}"), encoding="utf-8"
        )
        sys.stdout.write(f"{name}: {'unchanged' if old == limits_table() else 'written'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
