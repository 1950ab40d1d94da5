"""`python -m tests.bench.chart`: draws the chart of README.md from a table of RESULTS.md.

The chart is text: PyPI shows neither the images of a repository nor mermaid, and text looks the same on PyPI, on
GitHub and in a terminal. A test compares it with the table.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "bench" / "RESULTS.md"
README = ROOT / "README.md"

HEADING = "Requests per second, hello app"
COLUMN = "512 connections, requests/s"
WIDTH = 48
MARKERS = re.compile(r"(<!-- chart:begin -->\n).*?(<!-- chart:end -->)", re.DOTALL)


def column(text, heading, name):
    """{server: number} of one column of the table below a heading; without servers that have no number."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    cells = {row[0]: row[header.index(name)].split(" ")[0] for row in rows}
    return {server: float(cell.replace(",", "")) for server, cell in cells.items() if cell != "-"}


def bars(values):
    """One line for each server, the longest bar first."""
    names = max(map(len, values))
    most = max(values.values())
    return "\n".join(
        f"{server:<{names}}  {'█' * max(1, round(WIDTH * value / most)):<{WIDTH}} {value:>8,.0f}"
        for server, value in sorted(values.items(), key=lambda pair: -pair[1])
    )


def with_chart(readme, results):
    """The text of README.md with the chart between its markers drawn anew."""
    block = f"```text\n{HEADING}, {COLUMN.split(',')[0]}\n\n{bars(column(results, HEADING, COLUMN))}\n```\n"
    return MARKERS.sub(lambda found: found[1] + block + found[2], readme)


if __name__ == "__main__":
    README.write_text(with_chart(README.read_text(encoding="utf-8"), RESULTS.read_text(encoding="utf-8")))
