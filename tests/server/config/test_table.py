"""config.table: the limits table, and that server/README.md holds it."""

from pathlib import Path

import pytest

from greenserve.config.table import BEGIN, END, between_markers, limits_table, main

README = Path(__file__).parents[3] / "server" / "README.md"


def test_the_readme_holds_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    assert between_markers(text) == limits_table(), "run: python -m greenserve.config.table server/README.md"


def test_the_table_has_every_limit_with_its_default_reason_and_precedent() -> None:
    lines = limits_table().splitlines()
    assert lines[0] == "| setting | default | what it stops | precedent |"
    assert "| `--head-timeout` | 10s | slow-header clients (slowloris) | granian 30s, Apache 20s |" in lines
    assert any(line.startswith("| `--limit-request-body` | 16M |") for line in lines)
    assert all(line.count("|") == 5 for line in lines)
    assert not any("--log-level" in line for line in lines)


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == limits_table() + "\n"


def test_the_command_writes_the_table_between_the_markers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main([str(file)]) == 0
    assert file.read_text() == f"before\n{BEGIN}\n{limits_table()}\n{END}\nafter\n"
    assert capsys.readouterr().out == f"{file}: written\n"
    main([str(file)])
    assert capsys.readouterr().out == f"{file}: unchanged\n"


def test_a_document_without_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="limits:begin"):
        between_markers("nothing")
