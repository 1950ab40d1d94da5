"""The fenced blocks of a page, as a reader sees them: language, title, text, and the line where each begins."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "pages"
PAGES = sorted(DOCS.rglob("*.md"))

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)(?P=fence)\n", re.M | re.S
)
_SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block. `whole` names the file of the repository that it shows, and that has a test of its own."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    whole: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page in their order, those in tabs and notes too."""
    source = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(source):
        language, _, rest = match["info"].strip().partition(" ")
        # A README has no titles: there the first line of a program is its name.
        title = re.search(r'title="([^"]+)"', rest) or re.match(r"# ([\w/]+\.py)\n", match["text"])
        text = textwrap.dedent(match["text"]) if match["indent"] else match["text"]
        snippet = _SNIPPET.search(text)
        found.append(
            Block(
                page,
                source.count("\n", 0, match.start()) + 1,
                language,
                title[1] if title else "",
                _SNIPPET.sub(lambda one: (ROOT / one[1]).read_text(encoding="utf-8").rstrip("\n"), text),
                snippet[1] if snippet else "",
            )
        )
    return found
