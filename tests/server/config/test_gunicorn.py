"""config.gunicorn: each of gunicorn's settings has its place, and its flags are read as gunicorn reads them."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from gunicorn.config import KNOWN_SETTINGS
from gunicorn.config import Config as GunicornConfig
from tests.support.protocols import gunicorn_table

from greenserve.config import SETTINGS, load_config
from greenserve.config.gunicorn import GUNICORN, parse_flags, read_variable, translate
from greenserve.config.hooks import HOOKS
from greenserve.config.values.registry import Given
from greenserve.errors import ConfigError


def test_the_table_is_that_of_the_installed_gunicorn() -> None:
    theirs = {one.name: (tuple(one.cli or ()), one.action) for one in KNOWN_SETTINGS}
    ours = {name: row.flags for name, row in GUNICORN.items()}
    assert {name: flags for name, (flags, _) in theirs.items()} == ours
    switches = {name for name, (_, action) in theirs.items() if action in ("store_true", "store_const")}
    assert switches == {name for name, row in GUNICORN.items() if row.is_switch}
    lists = {name for name, (flags, action) in theirs.items() if action == "append"}
    assert lists == {name for name, row in GUNICORN.items() if row.is_list}


@pytest.mark.parametrize("name", GUNICORN)
def test_each_has_its_place(name: str) -> None:
    row = GUNICORN[name]
    assert row.ours in {*SETTINGS, *HOOKS, "app", ""}
    assert row.place(str)
    assert "{" not in row.place(str)


def test_what_is_the_same_has_gunicorns_flags_too() -> None:
    ours = {flag for entry in SETTINGS.values() for flag in (entry.flag, *entry.aliases)} | {"--no-sendfile"}
    theirs = {flag for row in GUNICORN.values() if row.ours in SETTINGS for flag in row.flags}
    assert theirs - ours == {"-p"}  # the port, for uvicorn and Flask


def test_what_has_our_name_is_the_same_setting() -> None:
    # Names that both have must not fall to the side of the explained ones.
    assert [name for name in GUNICORN if name in SETTINGS and GUNICORN[name].ours != name] == []


def test_the_page_has_the_table() -> None:
    assert gunicorn_table.written() == gunicorn_table.made(), f"run python -m {gunicorn_table.__name__}"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-w 4 -b :80 --bind unix:/x --no-sendfile -D shop.wsgi:app",
        "--workers=4 -k gevent -t 30 --keep-alive 5 --access-logfile - -e A=1 --env B=2 shop",
        "--proxy-protocol --log-file x -n name -R --reload --reload-extra-file a --reload-extra-file b",
        "--proxy-protocol v2 --umask 022 --control-socket-mode 600",
        "--worker-conn 10 --grace 3 app:app",  # argparse takes abbreviations
        "shop --workers 3",
    ],
)
def test_its_flags_are_read_as_by_itself(line: str) -> None:
    words = shlex.split(line)
    theirs = {
        name: value
        for name, value in vars(GunicornConfig().parser().parse_args(words)).items()
        if value is not None
    }
    app = theirs.pop("args")
    ours = parse_flags(words)
    assert ours.pop("wsgi_app", None) == (app[0] if app else None)
    for name in ("umask", "control_socket_mode"):  # its parser makes numbers of them, as the kinds do here
        if name in ours:
            theirs[name] = ours[name]
    assert {name: str(value) for name, value in ours.items()} == {
        n: str(value) for n, value in theirs.items()
    }


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("--nonsense", "unrecognized arguments: --nonsense"),
        ("--workers", "argument -w/--workers: expected one argument"),
        ("a b", "one app at a time, not a and b"),
    ],
)
def test_what_is_no_command_line_of_gunicorns(line: str, end: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_flags(line.split())
    assert str(caught.value) == f"not a command line of gunicorn: {end}"


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("bind", ["0.0.0.0", "h:80", "unix:/x", "fd://3", "[::1]", "[::1]:9", "tcp://h:1"],
         ["0.0.0.0:8000", "h:80", "unix:/x", "fd://3", "[::1]:8000", "[::1]:9", "h:1"]),
        ("bind", "a,b:1", ["a:8000", "b:1"]),
        ("bind", 7, 7),
        ("accesslog", None, "off"),
        ("accesslog", "-", "-"),
        ("proxy_protocol", True, "auto"),
        ("proxy_protocol", False, "off"),
        ("proxy_protocol", "v1", "v1"),
        ("backlog", 5, 5),
    ],
)  # fmt: skip
def test_values_that_are_written_otherwise(name: str, theirs: Any, ours: Any) -> None:
    assert translate(name, theirs) == ours


class TestVariable:
    def test_it_sets_what_is_the_same_here(self) -> None:
        environ = {"GUNICORN_CMD_ARGS": "--bind=0.0.0.0 --keep-alive 5 --log-level=debug 'my app:app'"}
        loaded = load_config(environ=environ)
        config = loaded.config
        assert (config.bind, config.keep_alive, config.log_level) == (("0.0.0.0:8000",), 5.0, "debug")
        assert loaded.origins["keep_alive"] == "env GUNICORN_CMD_ARGS: --keep-alive"
        assert loaded.app == Given("my app:app", "env GUNICORN_CMD_ARGS: the app")

    def test_the_logging_of_json_beats_the_other_as_in_gunicorn(self) -> None:
        for line in (
            "--log-config-json a.json --log-config a.ini",
            "--log-config a.ini --log-config-json a.json",
        ):
            assert read_variable({"GUNICORN_CMD_ARGS": line}) == {
                "log_config": Given("a.json", "env GUNICORN_CMD_ARGS: --log-config-json")
            }

    def test_our_own_variables_and_flags_beat_it(self) -> None:
        environ = {"GUNICORN_CMD_ARGS": "--backlog 1 --keep-alive 1", "GREENSERVE_BACKLOG": "2", "PORT": "99"}
        config = load_config({"keep_alive": Given("3", "flag")}, environ=environ).config
        assert (config.backlog, config.keep_alive, config.bind) == (2, 3.0, ("0.0.0.0:99",))

    def test_what_is_not_needed_is_passed_over(self) -> None:
        assert read_variable({"GUNICORN_CMD_ARGS": "-k gthread --worker-tmp-dir /dev/shm"}) == {}

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("--threads 4", "--threads: requests run on green threads: --pool sets how many at the same time; or"),
            ("-c conf.py", "--config is a file of gunicorn's: see greenserve migrate conf.py"),
            ("--nonsense", "not a command line of gunicorn: unrecognized arguments: --nonsense"),
            ("'", "No closing quotation"),
        ],
    )  # fmt: skip
    def test_what_would_be_lost_is_an_error(self, line: str, said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load_config(environ={"GUNICORN_CMD_ARGS": line})
        assert str(caught.value).startswith(f"env GUNICORN_CMD_ARGS: {said}")

    def test_a_bad_value_is_named_with_its_flag(self) -> None:
        with pytest.raises(
            ConfigError, match=r"^pool = '0' \(env GUNICORN_CMD_ARGS: --worker-connections\): too small"
        ):
            load_config(environ={"GUNICORN_CMD_ARGS": "--worker-connections 0"})
