"""config.show: what --print-config prints."""

from pathlib import Path

from greenserve.config import SETTINGS, load_config
from greenserve.config.show import show_config
from greenserve.config.values.registry import Given


def test_what_is_printed_is_a_file_that_gives_the_same_configuration(tmp_path: Path) -> None:
    given = {
        "bind": [":80", 'unix:/a b\x7f"é'],
        "keep_alive": "off",
        "head_timeout": "1500ms",
        "limit_request_body": "off",
        "socket_mode": "0600",
        "server_header": False,
        "access_log_format": '%h "%r" \\ %%',
        "pool": 3,
    }
    loaded = load_config(
        {name: Given(value, f"flag {name}") for name, value in given.items()}, folder=tmp_path, environ={}
    )
    (tmp_path / "greenserve.toml").write_text(show_config(loaded), encoding="utf-8")
    again = load_config(folder=tmp_path, environ={})
    assert again.config == loaded.config
    assert set(again.origins.values()) == {f"greenserve.toml: {name}" for name in SETTINGS}


def test_each_line_says_where_the_value_came_from(tmp_path: Path) -> None:
    (tmp_path / "greenserve.toml").write_text("backlog = 9\n")
    loaded = load_config(folder=tmp_path, environ={"GREENSERVE_POOL": "6"})
    lines = show_config(loaded).splitlines()
    assert any(line.startswith("pool = 6 ") and line.endswith("# env GREENSERVE_POOL") for line in lines)
    assert any(
        line.startswith("backlog = 9 ") and line.endswith("# greenserve.toml: backlog") for line in lines
    )
    assert any(line.startswith('head_timeout = "10s" ') and line.endswith("# default") for line in lines)
    assert lines[0] == f"# file: {tmp_path / 'greenserve.toml'}"
    assert "# Timeouts" in lines
