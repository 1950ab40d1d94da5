"""The table of server/MOVING.md: each of gunicorn's settings, and its place here.

`python -m tests.support.protocols.gunicorn_table` writes it between the page's markers; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

from greenserve.config import SETTINGS
from greenserve.config.gunicorn import GUNICORN, GunicornSetting
from greenserve.config.hooks import HOOKS

PAGE = Path(__file__).parents[3] / "server" / "MOVING.md"
BEGIN = "<!-- gunicorn:begin -->"
END = "<!-- gunicorn:end -->"


def _row(row: GunicornSetting) -> str:
    flags = ", ".join(f"`{flag}`" for flag in row.flags)
    if row.ours in SETTINGS:
        kind = "same" if row.ours == row.name else "other name"
        here = f"`{SETTINGS[row.ours].flag}`"
    elif row.ours in HOOKS:
        kind, here = "same", "a hook in `greenserve_conf.py`"
    elif row.ours:
        kind, here = "other name", "the last word of the command, or `app`"
    elif row.place(str).startswith("a flag of the command"):
        kind, here = "same", f"`{row.place(str).rpartition(' ')[2]}`"
    else:
        kind = "not needed" if row.is_needless else "none"
        here = row.place(lambda name: f"`{SETTINGS[name].flag}`")
    return f"| `{row.name}` | {flags} | {kind} | {here} |"


def made() -> str:
    """The table as it should be."""
    head = ["| gunicorn | its flags | here | |", "|---|---|---|---|"]
    return "\n".join([*head, *(_row(row) for row in GUNICORN.values())])


def written() -> str:
    """The table as the page has it."""
    return PAGE.read_text(encoding="utf-8").partition(f"{BEGIN}\n")[2].partition(f"\n{END}")[0]


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{made()}\n{END}{after}", encoding="utf-8")
