"""Draws a machine's transition table as the mermaid block of a README.

`python -m tests.support.diagrams` puts the drawings into the READMEs; a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from greenserve.http1.bodies import CHUNK_TRANSITIONS
from greenserve.net.states import TRANSITIONS

ROOT = Path(__file__).parents[2]
DRAWINGS: dict[str, Mapping[Enum, frozenset[Enum]]] = {"connection": TRANSITIONS, "chunks": CHUNK_TRANSITIONS}


def mermaid(table: Mapping[Enum, frozenset[Enum]]) -> str:
    """A state diagram; the first state of the enum is where it begins, states without a way out are where it ends."""
    order = list(type(next(iter(table))))
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {order[0].name}"]
    lines += [f"    {state.name}: {state.value}" for state in order]
    lines += [
        f"    {state.name} --> {after.name if table[state] else '[*]'}"
        for state in order
        for after in sorted(table[state], key=order.index) or [state]
    ]
    return "\n".join([*lines, "```"])


def with_drawings(text: str) -> str:
    """`text` with each block between its markers drawn anew."""
    for name, table in DRAWINGS.items():
        pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
        text = re.sub(
            pattern, lambda found, t=table: f"{found[1]}{mermaid(t)}\n{found[2]}", text, flags=re.DOTALL
        )
    return text


if __name__ == "__main__":
    readme = ROOT / "server" / "README.md"
    readme.write_text(with_drawings(readme.read_text()))
