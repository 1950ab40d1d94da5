"""Draws a machine's transition table as the mermaid block of a README.

`python -m tests.support.protocols.diagrams` puts the drawings into the READMEs; a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from greenserve.http1.bodies import CHUNK_TRANSITIONS
from greenserve.net.http.states import STARTS, TRANSITIONS
from greenserve.websocket.framing.closing import PHASES

ROOT = Path(__file__).parents[3]
Table = Mapping[Enum, frozenset[Enum]]
DRAWINGS: dict[str, tuple[str, Table, frozenset[Enum]]] = {
    "connection": ("net/http", TRANSITIONS, STARTS),
    "websocket": ("websocket", PHASES, frozenset()),
    "chunks": ("http1", CHUNK_TRANSITIONS, frozenset()),
}  # each with the folder in whose README it is drawn


def readme_of(name: str) -> Path:
    """The README that has a drawing."""
    return ROOT / "server" / "greenserve" / DRAWINGS[name][0] / "README.md"


def mermaid(table: Table, starts: frozenset[Enum]) -> str:
    """A state diagram. Without `starts` it begins with the first state; states without a way out are where it ends."""
    order = list(type(next(iter(table))))
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {state.name}" for state in sorted(starts, key=order.index) or order[:1]]
    lines += [f"    {state.name}: {state.value}" for state in order]
    lines += [
        f"    {state.name} --> {after.name if table[state] else '[*]'}"
        for state in order
        for after in sorted(table[state], key=order.index) or [state]
    ]
    return "\n".join([*lines, "```"])


def with_drawing(name: str, text: str) -> str:
    """`text` with the block between the markers of `name` drawn anew; ValueError where they are missing."""
    pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    drawn = mermaid(*DRAWINGS[name][1:])
    text, count = re.subn(pattern, lambda found: f"{found[1]}{drawn}\n{found[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"<!-- {name}:begin --> … <!-- {name}:end --> stand there {count} times, not once")
    return text


if __name__ == "__main__":
    for drawing in DRAWINGS:
        readme = readme_of(drawing)
        readme.write_text(with_drawing(drawing, readme.read_text()))
