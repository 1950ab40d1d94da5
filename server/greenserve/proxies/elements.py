"""The grammar of the field `Forwarded` (RFC 7239 §4): text in, elements out.

Knows neither trust nor the meaning of the parameters. A line that breaks the grammar anywhere is one malformed
element: behind an open quote it is unknown where the next element begins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from greenserve.grammar import QUOTED_TEXT, TOKEN, unescape

# RFC 7239's grammar has no blanks around ";", but many proxies write them.
_PAIR: Final = re.compile(rf'[ \t]*+(?:({TOKEN})=(?:({TOKEN})|"({QUOTED_TEXT})"))?+[ \t]*+([;,]|\Z)')


@dataclass(frozen=True, slots=True)
class Element:
    """The part of the field that one proxy has written."""

    text: str
    well_formed: bool = True
    _pairs: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        """The value of a parameter, None if it is not there; `name` in lower case."""
        return self._pairs.get(name)


def parse_elements(line: str) -> list[Element]:
    """The elements of one field line, in their order. Empty ones are skipped (RFC 9110 §5.6.1)."""
    elements: list[Element] = []
    pairs: dict[str, str] = {}
    begin = at = 0
    while True:
        match = _PAIR.match(line, at)
        if match is None:
            return [Element(line, well_formed=False)]
        name, token, quoted, end = match.groups()
        if name is not None:
            name = name.lower()
            if name in pairs:
                return [Element(line, well_formed=False)]  # RFC 7239 §4: not twice
            pairs[name] = token if token is not None else unescape(quoted)
        at = match.end()
        if end != ";":
            if pairs:
                elements.append(Element(line[begin : match.start(4)].strip(" \t"), True, pairs))
                pairs = {}
            begin = at
            if not end:
                return elements
