"""An extension of Python-Markdown, named in mkdocs.yml: expands each page by generated.py."""

from __future__ import annotations

from typing import Any

from docs.generated import expand
from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor


class Generated(Extension):
    """The extension of Python-Markdown."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Have each page expanded before its code blocks are taken out, which is done at 25."""
        md.preprocessors.register(_Expansion(md), "generated", 40)


class _Expansion(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return expand("\n".join(lines)).split("\n")


def makeExtension(**options: Any) -> Generated:
    """Return the extension, as Python-Markdown asks for it."""
    return Generated(**options)
