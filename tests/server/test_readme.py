"""What server/README.md draws is what the code does."""

from __future__ import annotations

import pytest
from tests.support.protocols.diagrams import DRAWINGS, ROOT, with_drawings

pytestmark = pytest.mark.repository


def test_the_drawn_machines_are_those_of_the_code():
    text = (ROOT / "server" / "README.md").read_text()
    assert all(f"<!-- {name}:begin -->" in text for name in DRAWINGS)
    assert with_drawings(text) == text, "run: python -m tests.support.protocols.diagrams"
