"""cli: the command from its arguments to its exit code, in process and as a program."""

import os
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers.certificates import issue

from greenserve.cli import main
from greenserve.config import SETTINGS, Config
from greenserve.hooks import Hooks
from greenserve.process.starting import Starting

APP = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go to an empty folder with gs_cli_app.py in it, out of reach of settings around the tests."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name == "PORT" or name.startswith("GREENSERVE_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "gs_cli_app.py").write_text(APP)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Keep this process as it is; note for which hub it would have been patched, and if the app was there already."""
    calls: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "greenserve.cli.patch_for", lambda hub: calls.append((hub, "gs_cli_app" in sys.modules))
    )
    return calls


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Config]]:
    """Put a stand-in where the server starts; it notes what it was given and says that it ended well."""
    calls: list[tuple[Any, Config]] = []

    def run(app: Any, config: Config, *, starting: Starting, hooks: Hooks) -> int:
        calls.append((app, config))
        return 0

    single = types.ModuleType("greenserve.process.single")
    single.run = run
    monkeypatch.setitem(sys.modules, "greenserve.process.single", single)
    start = types.ModuleType("greenserve.process.master.start")
    start.run_with_workers = lambda plan, *, starting, handover: run(
        plan.load(), plan.config, starting=starting, hooks=plan.hooks
    )
    monkeypatch.setitem(sys.modules, "greenserve.process.master.start", start)
    monkeypatch.setattr("greenserve.cli.set_environment", lambda config: None)
    monkeypatch.setattr(Starting, "detach", lambda self: None)
    return calls


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Give what went to stderr: one line, and nothing on stdout."""

    def read() -> str:
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("greenserve: ")
        assert err.count("\n") == 1
        return err[len("greenserve: ") : -1]

    return read


def test_the_app_and_the_settings_reach_the_server(served: list[tuple[Any, Config]]) -> None:
    assert main(["--pool", "8", "gs_cli_app:app", "-b", ":0", "--bind", "unix:/x", "--no-sendfile"]) == 0
    ((app, config),) = served
    assert app({}, lambda status, fields: None) == [b"x"]
    assert (config.pool, config.bind, config.sendfile) == (8, ("0.0.0.0:0", "unix:/x"), False)


def test_the_process_is_patched_before_the_app_is_imported(
    served: list[tuple[Any, Config]], patched: list[tuple[str, bool]]
) -> None:
    assert main(["--hub", "poll", "gs_cli_app:app"]) == 0
    assert patched == [("poll", False)]


def test_no_monkey_patch(served: list[tuple[Any, Config]], patched: list[tuple[str, bool]]) -> None:
    assert main(["--no-monkey-patch", "gs_cli_app:app"]) == 0
    assert patched == []


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        (["--worker-connections=5"], "pool", 5),
        (["--timeout-keep-alive", "3"], "keep_alive", 3.0),
        (["--timeout-graceful-shutdown", "1m"], "graceful_timeout", 60.0),
        (["--limit-request-field_size", "1K"], "limit_request_field_size", 1024),
        (["--access-logformat", "%h"], "access_log_format", "%h"),
        (["--log-file", "-"], "error_logfile", "-"),
        (["--access-logfile", "-"], "access_logfile", "-"),
        (["--access-log-format", "-- %(h)s"], "access_log_format", "-- %(h)s"),
        (["--sendfile"], "sendfile", True),
        (["--no-sendfile", "--sendfile"], "sendfile", True),
        (["--reuse-port"], "reuse_port", True),
        (["--pool", "1", "--pool", "2"], "pool", 2),
        (["-w4"], "workers", 4),
        (["--workers", "auto"], "workers", 0),
        (["-e", "A=1,2", "--env", "B="], "env", ("A=1,2", "B=")),
        (["--max-jitter", "5%", "--preload-app"], "max_jitter", 0.05),
    ],
)
def test_flags_and_aliases(
    served: list[tuple[Any, Config]], flags: list[str], name: str, value: object
) -> None:
    assert main([*flags, "gs_cli_app:app"]) == 0
    assert getattr(served[0][1], name) == value


def test_every_setting_has_a_flag_that_is_read(served: list[tuple[Any, Config]], folder: Path) -> None:
    other: dict[str, object] = {
        "bind": "127.0.0.1:1",
        "socket_mode": "600",
        "access_log_format": "json",
        "access_log_skip": "/healthz",
        "error_log_format": "json",
        "log_config": str(folder / "log.json"),
        "log_color": "never",
        "log_level": "debug",
        "dump_signal": "off",
        "backdoor": "[::1]:1",
        "chdir": str(folder),
        "hub": "poll",
        "chunked_bodies": "buffer",
        "header_map": "refuse",
        "redirect_bind": "127.0.0.1:2",
        "client_cert": "optional",
        "tls_min_version": "1.3",
        "forwarded_allow_ips": "192.0.2.1",
        "forwarded_headers": "forwarded",
        "proxy_protocol": "auto",
        "proxy_allow_from": "192.0.2.1",
        "ws_when_slow": "drop",
        "ws_origins": "*",
        "worker_sockets": "shared",
        "cancel_on_disconnect": "reset",
        "max_jitter": "0.5",
        "umask": "027",
        "env": "GS_CLI=1",
        "admin_bind": "127.0.0.1:3",
        "admin_token": "a-token-of-a-test",
        "reload_engine": "poll",
    }
    (folder / "log.json").write_text("{}")
    argv = ["gs_cli_app:app"]
    for name, entry in SETTINGS.items():
        if isinstance(entry.default, bool):
            argv.append(entry.flag if not entry.default else "--no-" + entry.flag[2:])
        else:
            argv.append(f"{entry.flag}={other.get(name, '77')}")
    assert main(argv) == 0
    config = served[0][1]
    assert [name for name, entry in SETTINGS.items() if getattr(config, name) == entry.default] == []


def test_the_app_may_stand_in_the_file_or_a_variable(
    served: list[tuple[Any, Config]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "greenserve.toml").write_text('app = "gs_cli_app:app"\npool = 3\n')
    assert main([]) == 0
    assert main(["--check-config"]) == 0
    assert "gs_cli_app:app are valid" in capsys.readouterr().out
    monkeypatch.setenv("GREENSERVE_APP", "gs_cli_none:app")
    assert main([]) == 3
    assert main(["gs_cli_app"]) == 0
    assert [config.pool for _, config in served] == [3, 3]
    capsys.readouterr()
    assert main(["--print-config"]) == 0
    printed = capsys.readouterr().out
    assert tomllib.loads(printed)["app"] == "gs_cli_none:app"
    assert "# env GREENSERVE_APP" in printed


def test_chdir_comes_before_the_import(served: list[tuple[Any, Config]], folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "gs_cli_sub.py").write_text(APP)
    assert main(["--chdir", "sub", "gs_cli_sub:app"]) == 0
    assert Path.cwd() == folder / "sub"


def test_the_servers_exit_code_is_the_commands(
    served: list[tuple[Any, Config]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys.modules["greenserve.process.single"], "run", lambda app, config, *, starting, hooks: 1
    )
    assert main(["gs_cli_app:app"]) == 1


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ([], "no app: name it as module:attr, or see greenserve --help"),
        (["a:b", "c:d"], "one app at a time, not a:b and c:d"),
        (["--poll", "3", "a:b"], "unknown flag --poll; did you mean --pool?"),
        (["--no-sendfil", "a:b"], "unknown flag --no-sendfil; did you mean --no-sendfile?"),
        (["--check-confg", "a:b"], "unknown flag --check-confg; did you mean --check-config?"),
        (["-x"], "unknown flag -x; greenserve --help lists all"),
        (["--port", "80", "a:b"], "unknown flag --port: --bind takes both, as HOST:PORT: 0.0.0.0:8000"),
        (["-w", "x", "a:b"], "workers = 'x' (flag -w): not a whole number; allowed: a whole number, or auto"),
        (["-wx", "a:b"], "workers = 'x' (flag -w): not a whole number"),
        (["--env", "x", "a:b"], "env = ['x'] (flag --env): 'x' is not NAME=VALUE"),
        (["--umask", "9", "a:b"], "umask = '9' (flag --umask): not an octal mode"),
        (["--max-jitter", "2", "a:b"], "max_jitter = '2' (flag --max-jitter): not between 0 and 1"),
        (["--timeout=3"], "unknown flag --timeout: --request-timeout ends one request"),
        (["a:b", "8000"], "one app at a time, not a:b and 8000; to listen there, give --bind 127.0.0.1:8000"),
        (["a:b", "[::1]:8"], "one app at a time, not a:b and [::1]:8; to listen there, give --bind [::1]:8"),
        (
            ["runserver", "0.0.0.0:80"],
            "one app at a time, not runserver and 0.0.0.0:80; there is no subcommand runserver: greenserve APP --bind "
            "0.0.0.0:80",
        ),
        (
            ["run", "a:b", "8000"],
            "one app at a time, not run and a:b and 8000; there is no subcommand run: greenserve a:b --bind "
            "127.0.0.1:8000",
        ),
        (
            ["runserver", "a"],
            "one app at a time, not runserver and a; there is no subcommand runserver: greenserve a",
        ),
        (
            ["-c", "gunicorn.conf.py", "a:b"],
            "--config gunicorn.conf.py: no such file",
        ),
        (["--head", "3", "a:b"], "unknown flag --head"),  # no abbreviations: they break with new flags
        (["a:b", "--pool"], "argument --pool: expected one argument"),
        (["--pool", "0", "a:b"], "pool = '0' (flag --pool): too small; allowed: a whole number, at least 1"),
        (["--worker-connections", "x", "a:b"], "pool = 'x' (flag --worker-connections): not a whole number"),
        (["--head-timeout", "-5", "a:b"], "head_timeout = '-5' (flag --head-timeout): not a duration"),
        (
            ["-b", "localhost", "a:b"],
            "bind = ['localhost'] (flag -b): 'localhost': the port is missing; allowed: HOST:PORT",
        ),
        (
            ["--access-log-format", "%Z", "a:b"],
            "access_log_format = '%Z' (flag --access-log-format): %Z is not known",
        ),
        (
            ["--limit-request-head", "1K", "a:b"],
            "limit_request_line = 8190 (default) contradicts limit_request_head = 1K",
        ),
        (["-c", "no.toml", "a:b"], "--config no.toml: no such file"),
        (["--chdir", "nowhere", "a:b"], "chdir = 'nowhere' (flag --chdir): No such file or directory"),
    ],
)
def test_a_bad_command_line_is_one_line_and_exit_2(
    served: list[tuple[Any, Config]], said: Callable[[], str], argv: list[str], line: str
) -> None:
    assert main(argv) == 2
    assert said().startswith(line)
    assert served == []


def test_a_bad_variable_or_file_is_named(
    served: list[tuple[Any, Config]], said: Callable[[], str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "greenserve.toml").write_text("poool = 3\n")
    assert main(["gs_cli_app:app"]) == 2
    assert said() == "unknown setting poool (greenserve.toml); did you mean pool?"
    (folder / "greenserve.toml").write_text("")
    monkeypatch.setenv("GREENSERVE_POOL", "many")
    assert main(["gs_cli_app:app"]) == 2
    assert said().startswith("pool = 'many' (env GREENSERVE_POOL): not a whole number")


def test_an_app_that_fails_is_its_traceback_and_one_line_and_exit_3(
    served: list[tuple[Any, Config]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "gs_cli_bad.py").write_text("import gs_cli_app\nraise OSError('no database')\n")
    assert main(["gs_cli_bad:app"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "greenserve: can't import gs_cli_bad: OSError: no database"
    assert err.startswith("Traceback (most recent call last):\n")
    assert "raise OSError" in err
    assert err.count("  File ") == 1
    assert served == []


def test_a_missing_app_is_one_line_and_exit_3(
    served: list[tuple[Any, Config]], said: Callable[[], str]
) -> None:
    assert main(["gs_cli_ap:app"]) == 3
    assert said().endswith("did you mean gs_cli_app?")


def test_ctrl_c_during_the_import(served: list[tuple[Any, Config]], folder: Path) -> None:
    (folder / "gs_cli_slow.py").write_text("raise KeyboardInterrupt\n")
    assert main(["gs_cli_slow:app"]) == 130


def test_check_config_reads_the_certificates(
    served: list[tuple[Any, Config]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    issue(folder / "good.pem", "localhost")
    assert main(["--check-config", "--certfile", "good.pem", "gs_cli_app:app"]) == 0
    (folder / "bad.pem").write_text("nothing")
    assert main(["--check-config", "--certfile", "good.pem", "--certfile", "bad.pem", "gs_cli_app:app"]) == 2
    assert capsys.readouterr().err == "greenserve: certfile: bad.pem: no certificate in PEM form is in it\n"
    assert main(["--check-config", "--redirect-bind", ":8080", "gs_cli_app:app"]) == 2
    assert capsys.readouterr().err == "greenserve: redirect_bind needs TLS: give a certfile\n"
    assert served == []


def test_check_config_imports_the_app_and_serves_nothing(
    served: list[tuple[Any, Config]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check-config", "gs_cli_app:app"]) == 0
    assert capsys.readouterr().out == "greenserve: the configuration and gs_cli_app:app are valid\n"
    assert main(["--check-config", "gs_cli_app:ap"]) == 3
    assert main(["--check-config", "--pool=0", "gs_cli_app:app"]) == 2
    assert main(["--check-config"]) == 2
    assert served == []


def test_print_config_needs_no_app_and_says_where_each_value_came_from(
    served: list[tuple[Any, Config]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "greenserve.toml").write_text("backlog = 9\n")
    monkeypatch.setenv("GREENSERVE_HUB", "poll")
    assert main(["--print-config", "--pool=3"]) == 0
    out = capsys.readouterr().out
    printed = tomllib.loads(out)
    assert list(printed) == list(SETTINGS)
    assert (printed["pool"], printed["backlog"], printed["hub"]) == (3, 9, "poll")
    for origin in ("# flag --pool", "# greenserve.toml: backlog", "# env GREENSERVE_HUB", "# default"):
        assert origin in out
    assert served == []


def test_help_shows_every_setting_in_its_group_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith("usage: greenserve [settings] APP")
    for entry in SETTINGS.values():
        assert entry.flag in words
        assert f"{entry.group}:" in words
    assert "--sendfile, --no-sendfile" in words
    assert re.search(r"-b( ADDRESS)?, --bind ADDRESS", words)  # Python 3.13 names it once
    assert "then 408 [off: no deadline; default 10s]" in words
    assert "default 16M" in words


@pytest.fixture
def command(folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "greenserve", *argv],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_as_a_program(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    version = command("--version")
    assert (version.returncode, version.stderr) == (0, "")
    name, number, core = version.stdout.split(" ", 2)
    assert re.fullmatch(r"\((compiled core|pure Python[^()]*)\)\n", core)
    assert name == "greenserve"
    assert number[0].isdigit()
    assert command("--check-config", "gs_cli_app:app").returncode == 0
    assert command("--check-config", "gs_cli_app:nope").returncode == 3
    bad = command("--pool", "no", "gs_cli_app:app")
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)
