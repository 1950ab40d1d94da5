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
DRAWINGS: dict[str, tuple[Table, frozenset[Enum]]] = {
    "connection": (TRANSITIONS, STARTS),
    "websocket": (PHASES, frozenset()),
    "chunks": (CHUNK_TRANSITIONS, frozenset()),
}


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


def with_drawings(text: str) -> str:
    """`text` with each block between its markers drawn anew."""
    for name, machine in DRAWINGS.items():
        pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
        text = re.sub(
            pattern, lambda found, m=machine: f"{found[1]}{mermaid(*m)}\n{found[2]}", text, flags=re.DOTALL
        )
    return text


if __name__ == "__main__":
    readme = ROOT / "server" / "README.md"
    readme.write_text(with_drawings(readme.read_text()))
