"""The limits table, and that server/README.md holds it."""

from __future__ import annotations

import pytest
from tests.support.protocols.limits_table import BEGIN, END, README, limits_table, with_table


def test_the_readme_holds_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run: python -m tests.support.protocols.limits_table"


def test_the_table_has_every_limit_with_its_default_reason_and_precedent() -> None:
    lines = limits_table().splitlines()
    assert lines[0] == "| setting | default | what it stops | precedent |"
    assert "| `--head-timeout` | 10s | slow-header clients (slowloris) | granian 30s, Apache 20s |" in lines
    assert any(line.startswith("| `--limit-request-body` | 16M |") for line in lines)
    assert all(line.count("|") == 5 for line in lines)
    assert not any("--log-level" in line for line in lines)


def test_it_is_written_between_the_markers() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_table(text) == f"before\n{BEGIN}\n{limits_table()}\n{END}\nafter\n"


def test_a_document_without_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="limits:begin"):
        with_table("nothing")
