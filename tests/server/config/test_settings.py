"""config.settings: the registry itself, Config and its keywords."""

import dataclasses
import re

import pytest

from greenserve.config import SETTINGS, Config, load_config, parse_bind
from greenserve.config.values.registry import Setting
from greenserve.errors import ConfigError

NAMES = list(SETTINGS)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_complete(name: str) -> None:
    entry = SETTINGS[name]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    assert entry.help
    assert not entry.help.endswith(".")
    assert entry.group
    assert entry.kind.parse(entry.default) == entry.default
    assert entry.kind.parse(entry.embedded) == entry.embedded
    assert entry.kind.parse(entry.kind.format(entry.default)) == entry.default


@pytest.mark.parametrize("name", [n for n in NAMES if SETTINGS[n].kind.unit])
def test_every_deadline_and_limit_says_what_it_stops_and_its_precedent(name: str) -> None:
    assert SETTINGS[name].protects
    assert SETTINGS[name].precedent


def test_no_flag_is_given_twice() -> None:
    flags = [flag for entry in SETTINGS.values() for flag in (entry.flag, *entry.aliases)]
    assert len(flags) == len(set(flags))


def test_the_defaults() -> None:
    config = Config()
    assert config.bind == ("127.0.0.1:8000",)
    assert (config.pool, config.limit_connections, config.backlog) == (1000, 10_000, 2048)
    assert (config.head_timeout, config.keep_alive, config.request_timeout) == (10.0, 75.0, 300.0)
    assert (config.limit_request_line, config.limit_request_head) == (8190, 65536)
    assert config.limit_request_body == 16 * 1024 * 1024
    assert config.access_logfile == "-"


def test_keywords_take_native_values_and_text() -> None:
    config = Config(pool="8", head_timeout="500ms", bind=[":80"], limit_request_body=None)
    assert (config.pool, config.head_timeout, config.bind) == (8, 0.5, ("0.0.0.0:80",))
    assert config.limit_request_body == 0


def test_a_config_that_exists_is_valid() -> None:
    with pytest.raises(ConfigError, match=r"^pool = 0 \(keyword pool\): too small; allowed: "):
        Config(pool=0)
    with pytest.raises(ConfigError, match="head_timeout"):
        dataclasses.replace(Config(), head_timeout=-1)


def test_a_config_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().pool = 3


def test_addresses_are_the_parsed_binds() -> None:
    config = Config(bind=("127.0.0.1:0", "unix:/x"))
    assert config.addresses == (parse_bind("127.0.0.1:0"), parse_bind("unix:/x"))
    assert config.addresses is config.addresses
    assert config == Config(bind=("127.0.0.1:0", "unix:/x"))


def test_each_value_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    parse = Setting.parse
    monkeypatch.setattr(
        Setting, "parse", lambda self, *args: (parsed.append(self.name), parse(self, *args))[1]
    )
    for make in (
        lambda: Config.from_settings({}, pool=3),
        lambda: Config(pool=3),
        lambda: load_config(environ={}),
    ):
        parsed.clear()
        make()
        assert parsed == NAMES


def test_it_is_the_same_however_it_is_made() -> None:
    assert Config.from_settings({}, pool="3", access_logfile="-") == Config(pool=3)


def test_embedded_keywords_beat_the_environment_which_beats_the_embedded_default() -> None:
    environ = {"GREENSERVE_POOL": "7", "GREENSERVE_BACKLOG": "5", "PORT": "9999"}
    config = Config.from_settings(environ, pool=3)
    assert (config.pool, config.backlog) == (3, 5)
    assert config.access_logfile == "off"
    assert config.bind == ("127.0.0.1:8000",)  # PORT is for the command alone
    assert Config.from_settings({"GREENSERVE_ACCESS_LOGFILE": "-"}).access_logfile == "-"


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENSERVE_POOL", "11")
    assert Config.from_settings().pool == 11
    monkeypatch.setenv("GREENSERVE_POOL", "x")
    with pytest.raises(ConfigError, match=r"pool = 'x' \(env GREENSERVE_POOL\): not a whole number"):
        Config.from_settings()


def test_an_unknown_keyword_is_refused_with_the_closest() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown setting head_timout \(keyword\); did you mean head_timeout\?"
    ):
        Config.from_settings({}, head_timout=3)


@pytest.mark.parametrize("place", ["0.0.0.0:3000", "[::]:3000", "10.0.0.1:3000", "example.com:3000"])
def test_a_backdoor_that_others_can_reach_is_asked_for_twice(place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_settings({}, backdoor=place)
    assert str(caught.value) == (
        f"backdoor = {place} (keyword backdoor) contradicts backdoor_allow_remote = false (default): it would give "
        "this process to everyone who can reach that address: use unix:PATH or 127.0.0.1:PORT, or set both"
    )
    assert Config.from_settings({}, backdoor=place, backdoor_allow_remote=True).backdoor == place


@pytest.mark.parametrize(
    "place", ["127.0.0.1:0", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/x", "fd://3", "off"]
)
def test_a_backdoor_for_this_machine_only(place: str) -> None:
    assert Config.from_settings({}, backdoor=place).backdoor == place


@pytest.mark.parametrize("part", ["limit_request_line", "limit_request_field_size"])
def test_a_part_of_the_head_is_not_longer_than_the_whole(part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_settings({"GREENSERVE_LIMIT_REQUEST_HEAD": "64K"}, **{part: "65K"})
    assert str(caught.value) == (
        f"{part} = 65K (keyword {part}) contradicts limit_request_head = 64K "
        "(env GREENSERVE_LIMIT_REQUEST_HEAD): a part of the head can't be longer than the whole"
    )
    with pytest.raises(ConfigError, match="contradicts"):
        Config(**{part: 100_000})


@pytest.mark.parametrize(
    ("settings", "both", "why"),
    [
        ({"keyfile": "k"}, "keyfile = k .*contradicts certfile", "a keyfile for each certfile"),
        (
            {"certfile": ["a", "b"], "keyfile": "k"},
            "keyfile = k .*contradicts certfile = a,b",
            "or none if",
        ),
        (
            {"certfile": "a", "client_cert": "required"},
            "client_cert .*contradicts ca_certs",
            "name the authorities",
        ),
        (
            {"certfile": "a", "ca_certs": "c"},
            "ca_certs = c .*contradicts client_cert",
            "put a chain into the certfile",
        ),
        (
            {"certfile": "a", "bind": ":1", "redirect_bind": ":1"},
            "redirect_bind .*contradicts bind",
            "its own port",
        ),
    ],
)
def test_what_tls_needs(settings: dict[str, object], both: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"{both}.*{why}"):
        Config.from_settings({}, **settings)


def test_the_names_that_other_servers_have() -> None:
    given = [
        (name, entry.aliases)
        for name, entry in SETTINGS.items()
        if name in ("certfile", "keyfile", "ca_certs", "client_cert", "ciphers")
    ]
    assert all(
        f"--ssl-{name.replace('_', '-')}" in aliases for name, aliases in given if name != "client_cert"
    )
    assert SETTINGS["client_cert"].aliases == ("--cert-reqs", "--ssl-cert-reqs")
