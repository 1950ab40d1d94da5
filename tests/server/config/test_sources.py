"""config.sources: flags beat variables beat the file beats the defaults, each with its origin."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from greenserve.config import Config, Loaded, load_config
from greenserve.config.values.registry import Given
from greenserve.errors import ConfigError


def load(
    folder: Path,
    flags: Mapping[str, Given] | None = None,
    environ: Mapping[str, str] | None = None,
    file: str | None = None,
) -> Loaded:
    return load_config(flags, file=file, folder=folder, environ=environ or {})


def test_nothing_given(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.config.pool == 1000
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.file is None


def test_each_source_beats_the_next(tmp_path: Path) -> None:
    (tmp_path / "greenserve.toml").write_text('pool = 3\nbacklog = 3\nkeep_alive = "3s"\nsendfile = false\n')
    environ = {"GREENSERVE_POOL": "2", "GREENSERVE_BACKLOG": "2"}
    loaded = load(tmp_path, {"pool": Given("1", "flag --pool")}, environ)
    config = loaded.config
    assert (config.pool, config.backlog, config.keep_alive, config.sendfile) == (1, 2, 3.0, False)
    assert config.head_timeout == 10.0
    assert {name: loaded.origins[name] for name in ("pool", "backlog", "keep_alive", "head_timeout")} == {
        "pool": "flag --pool",
        "backlog": "env GREENSERVE_BACKLOG",
        "keep_alive": "greenserve.toml: keep_alive",
        "head_timeout": "default",
    }
    assert loaded.file == tmp_path / "greenserve.toml"


def test_pyproject_is_read_where_there_is_no_file_of_our_own(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\npool = 1\n[tool.greenserve]\npool = 4\n")
    loaded = load(tmp_path)
    assert loaded.config.pool == 4
    assert loaded.origins["pool"] == "pyproject.toml: tool.greenserve.pool"
    (tmp_path / "greenserve.toml").write_text("backlog = 9\n")
    assert load(tmp_path).config.pool == 1000


@pytest.mark.parametrize("text", ["", "[tool.other]\nx = 1\n", "tool = 3\n"])
def test_a_pyproject_without_our_table_is_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert load(tmp_path).file is None


def test_config_names_another_file_and_only_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "greenserve.toml").write_text("pool = 3\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "other.toml").write_text('bind = [":81", "unix:/x"]\n')
    loaded = load(tmp_path, file="etc/other.toml")
    assert loaded.config.pool == 1000
    assert loaded.config.bind == ("0.0.0.0:81", "unix:/x")
    assert loaded.origins["bind"] == "etc/other.toml: bind"


class TestApp:
    """Which app the command serves may stand in the configuration."""

    def test_the_argument_beats_the_variable_beats_the_file(self, tmp_path: Path) -> None:
        assert load(tmp_path).app is None
        (tmp_path / "pyproject.toml").write_text("[tool.greenserve]\napp = 'p:app'\npool = 3\n")
        loaded = load(tmp_path)
        assert (loaded.app, loaded.config.pool) == (Given("p:app", "pyproject.toml: tool.greenserve.app"), 3)
        (tmp_path / "greenserve.toml").write_text("app = 'a:app'\n")
        assert load(tmp_path).app == Given("a:app", "greenserve.toml: app")
        environ = {"GREENSERVE_APP": "e:app"}
        assert load(tmp_path, environ=environ).app == Given("e:app", "env GREENSERVE_APP")
        argument = Given("x:app", "argument APP")
        assert load(tmp_path, {"app": argument}, environ).app == argument
        assert load(tmp_path, environ={"GREENSERVE_APP": ""}).app == Given("a:app", "greenserve.toml: app")

    @pytest.mark.parametrize("value", ["3", "''", "['a:b']", "true", '"a\\nb"'])
    def test_it_is_a_line_of_text(self, tmp_path: Path, value: str) -> None:
        (tmp_path / "greenserve.toml").write_text(f"app = {value}\n")
        with pytest.raises(
            ConfigError, match=r"^app = .* \(greenserve\.toml: app\): .*; allowed: module:app"
        ):
            load(tmp_path)

    def test_an_embedded_server_has_its_app(self) -> None:
        Config.from_settings({"GREENSERVE_APP": "e:app"})
        with pytest.raises(ConfigError, match="unknown setting app"):
            Config.from_settings({}, app="e:app")


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("greenserve.toml", "poool = 3", "unknown setting poool (greenserve.toml); did you mean pool?"),
        ("greenserve.toml", "head-timeout = 3", "did you mean head_timeout?"),
        ("greenserve.toml", "[server]\npool = 3", "unknown setting server (greenserve.toml)"),
        (
            "greenserve.toml",
            "pool = 0",
            "pool = 0 (greenserve.toml: pool): too small; allowed: a whole number",
        ),
        ("greenserve.toml", "pool = ", "greenserve.toml: not valid TOML: "),
        ("greenserve.toml", "pool = true", "pool = True (greenserve.toml: pool): not a whole number"),
        (
            "pyproject.toml",
            "[tool.greenserve]\nlog_level = 'loud'",
            "log_level = 'loud' (pyproject.toml: tool.greenserve.log_level): unknown; allowed: debug, info",
        ),
        ("pyproject.toml", "[tool]\ngreenserve = 3", "pyproject.toml: tool.greenserve is not a table"),
        ("pyproject.toml", "[tool.greenserve]\npoool = 3", "unknown setting poool (pyproject.toml)"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, name: str, text: str, line: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_utf8_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "greenserve.toml").write_bytes(b'chdir = "\xff"')
    with pytest.raises(ConfigError, match=r"greenserve\.toml: not valid TOML"):
        load(tmp_path)


def test_a_named_file_must_be_there_and_hold_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--config no\.toml: no such file"):
        load(tmp_path, file="no.toml")
    (tmp_path / "pyproject.toml").write_text("")
    with pytest.raises(ConfigError, match=r"--config pyproject\.toml: has no \[tool\.greenserve\]"):
        load(tmp_path, file="pyproject.toml")


def test_port_is_the_weakest_word_on_bind(tmp_path: Path) -> None:
    loaded = load(tmp_path, environ={"PORT": "5000"})
    assert (loaded.config.bind, loaded.origins["bind"]) == (("0.0.0.0:5000",), "env PORT")
    for flags, environ in (
        ({"bind": Given([":1"], "flag --bind")}, {"PORT": "5000"}),
        ({}, {"PORT": "5000", "GREENSERVE_BIND": ":1"}),
    ):
        assert load(tmp_path, flags, environ).config.bind == ("0.0.0.0:1",)
    (tmp_path / "greenserve.toml").write_text('bind = ":1"\n')
    assert load(tmp_path, environ={"PORT": "5000"}).config.bind == ("0.0.0.0:1",)


def test_forwarded_allow_ips_is_read_as_gunicorn_and_uvicorn_do(tmp_path: Path) -> None:
    environ = {"FORWARDED_ALLOW_IPS": "10.0.0.0/8,*"}
    loaded = load(tmp_path, environ=environ)
    assert loaded.config.forwarded_allow_ips == ("10.0.0.0/8", "*")
    assert loaded.origins["forwarded_allow_ips"] == "env FORWARDED_ALLOW_IPS"
    own = load(tmp_path, environ={**environ, "GREENSERVE_FORWARDED_ALLOW_IPS": "off"})
    assert own.config.forwarded_allow_ips == ()
    with pytest.raises(ConfigError, match=r"\(env FORWARDED_ALLOW_IPS\): 'proxy' is not an address"):
        load(tmp_path, environ={"FORWARDED_ALLOW_IPS": "proxy"})


def test_web_concurrency_is_the_weakest_word_on_workers(tmp_path: Path) -> None:
    environ = {"WEB_CONCURRENCY": "3"}
    loaded = load(tmp_path, environ=environ)
    assert (loaded.config.workers, loaded.origins["workers"]) == (3, "env WEB_CONCURRENCY")
    assert load(tmp_path, {"workers": Given("2", "flag --workers")}, environ).config.workers == 2
    assert load(tmp_path, environ={**environ, "GREENSERVE_WORKERS": "1"}).config.workers == 1
    assert load(tmp_path, environ={"WEB_CONCURRENCY": ""}).config.workers == 1
    assert load(tmp_path, environ={"WEB_CONCURRENCY": "auto"}).config.workers == 0
    (tmp_path / "greenserve.toml").write_text("workers = 4\n")
    assert load(tmp_path, environ=environ).config.workers == 4


@pytest.mark.parametrize("value", ["many", "-1", "1.5"])
def test_a_bad_web_concurrency_is_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"\(env WEB_CONCURRENCY\)"):
        load(tmp_path, environ={"WEB_CONCURRENCY": value})


def test_a_bad_port_names_port(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(env PORT\)"):
        load(tmp_path, environ={"PORT": "tcp://10.0.0.1:80"})
    assert load(tmp_path, environ={"PORT": ""}).config.bind == ("127.0.0.1:8000",)


def test_a_contradiction_names_both_sources(tmp_path: Path) -> None:
    (tmp_path / "greenserve.toml").write_text('limit_request_head = "4K"\n')
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {"limit_request_line": Given("5K", "flag --limit-request-line")})
    assert "limit_request_line = 5K (flag --limit-request-line)" in str(caught.value)
    assert "limit_request_head = 4K (greenserve.toml: limit_request_head)" in str(caught.value)


def test_the_environment_and_folder_of_the_process_are_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "greenserve.toml").write_text("backlog = 9\n")
    monkeypatch.setenv("GREENSERVE_POOL", "6")
    config: Any = load_config().config
    assert (config.pool, config.backlog) == (6, 9)


class TestSystemdsSockets:
    def test_are_bound_where_nothing_else_is_named(self, tmp_path: Path) -> None:
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}
        loaded = load_config(folder=tmp_path, environ=environ)
        assert loaded.config.bind == ("fd://3", "fd://4")
        assert loaded.origins["bind"] == "env LISTEN_FDS"
        given = {"bind": Given("127.0.0.1:1", "flag --bind")}
        assert load_config(given, folder=tmp_path, environ=environ).config.bind == ("127.0.0.1:1",)

    @pytest.mark.parametrize(("pid", "fds"), [("1", "1"), ("", "1"), (None, "x"), (None, "")])
    def test_of_another_process_or_none(self, pid: str | None, fds: str, tmp_path: Path) -> None:
        environ = {"LISTEN_PID": str(os.getpid()) if pid is None else pid, "LISTEN_FDS": fds}
        assert load_config(folder=tmp_path, environ=environ).config.bind == ("127.0.0.1:8000",)
