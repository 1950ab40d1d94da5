"""tokens: a token's file is read, and none that is too short or no text."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenserve.config import Config
from greenserve.config.show import show_config
from greenserve.config.sources import load_config
from greenserve.config.tokens import token_of
from greenserve.errors import ConfigError

TOKEN = "0123456789abcdef"


def test_from_the_setting_and_from_a_file_which_beats_it(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text(f"  {TOKEN}-of-the-file\n")
    assert token_of(Config()) == ""
    assert token_of(Config(admin_token=TOKEN)) == TOKEN
    assert token_of(Config(admin_token=TOKEN, admin_token_file=str(file))) == f"{TOKEN}-of-the-file"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (TOKEN[:-1].encode(), "too short"),
        (b"\xff" * 20, "not a text"),
        ("ü".encode() * 20, "not a line of ASCII text"),
        (f"{TOKEN}\n{TOKEN}".encode(), "not a line of ASCII text"),
    ],
)
def test_a_file_that_holds_none(tmp_path: Path, content: bytes, why: str):
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        token_of(Config(admin_token_file=str(file)))
    assert str(error.value).startswith(f"admin_token_file = {file}: {why}")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        token_of(Config(admin_token_file=str(tmp_path / "none")))


def test_a_token_is_never_shown(tmp_path: Path):
    loaded = load_config(folder=tmp_path, environ={"GREENSERVE_ADMIN_TOKEN": TOKEN})
    assert TOKEN not in show_config(loaded)
    assert '\n# admin_token = "*****" ' in show_config(loaded)
    (tmp_path / "greenserve.toml").write_text(show_config(loaded))
    assert load_config(folder=tmp_path, environ={}).config.admin_token == "", "it can be read back"
    with pytest.raises(ConfigError) as error:
        Config(admin_token=TOKEN[:-1])
    assert TOKEN[:-1] not in str(error.value)
    assert "token_urlsafe" in str(error.value)


@pytest.mark.parametrize("bind", ["fd://3", "9000", "127.0.0.1", "http://127.0.0.1:1", 5])
def test_an_address_that_is_none(bind: object):
    with pytest.raises(ConfigError, match="admin_bind"):
        Config(admin_bind=bind)  # type: ignore[arg-type]


def test_the_apps_own_address_is_refused():
    with pytest.raises(ConfigError, match="an address of their own"):
        Config(bind=("127.0.0.1:9000",), admin_bind="127.0.0.1:9000")
