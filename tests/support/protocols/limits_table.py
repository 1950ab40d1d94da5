"""The limits table of server/README.md, made from the registry.

`python -m tests.support.protocols.limits_table` writes it between the README's markers; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

from greenserve.config import SETTINGS

README = Path(__file__).parents[3] / "server" / "README.md"
BEGIN = "<!-- limits:begin -->"
END = "<!-- limits:end -->"


def limits_table() -> str:
    """A row for each setting that protects against something, in the registry's order."""
    rows = [
        f"| `{s.flag}` | {s.kind.format(s.default)} | {s.protects} | {s.precedent} |"
        for s in SETTINGS.values()
        if s.protects
    ]
    return "\n".join(["| setting | default | what it stops | precedent |", "|---|---|---|---|", *rows])


def with_table(text: str) -> str:
    """The document `text` with the table between its markers; ValueError where they are missing."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END} after {len(head)} characters")
    return f"{head}{BEGIN}\n{limits_table()}\n{END}{tail}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
