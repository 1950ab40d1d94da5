"""config.values.registry: settings, layers, and the one line that an error is."""

from dataclasses import dataclass

import pytest

from greenserve.config.values import kinds, log_kinds
from greenserve.config.values.registry import Given, choose, environment, setting, settings_of
from greenserve.errors import ConfigError


@dataclass
class Two:
    head_timeout: float = setting(10.0, kinds.duration(off="none"), group="G", help="the head", flags=("-x",))
    logfile: str = setting(
        "-", log_kinds.log_file("stdout", off=True), group="G", help="a log", embedded="off"
    )


SETTINGS = settings_of(Two)


def test_a_setting_knows_its_flag_variable_and_defaults() -> None:
    head, log = SETTINGS.values()
    assert (head.name, head.flag, head.env) == ("head_timeout", "--head-timeout", "GREENSERVE_HEAD_TIMEOUT")
    assert (head.default, head.embedded, head.aliases) == (10.0, 10.0, ("-x",))
    assert (log.default, log.embedded) == ("-", "off")


def test_a_bad_value_is_one_line_with_setting_value_source_and_what_is_allowed() -> None:
    with pytest.raises(ConfigError) as caught:
        SETTINGS["head_timeout"].parse("te\nn", "env GREENSERVE_HEAD_TIMEOUT")
    line = str(caught.value)
    assert "\n" not in line
    assert line == (
        "head_timeout = 'te\\nn' (env GREENSERVE_HEAD_TIMEOUT): not a duration; "
        "allowed: a duration such as 30, 30s, 500ms, 5m or 1h; off: none"
    )


def test_a_huge_bad_value_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        SETTINGS["head_timeout"].parse("x" * 10_000, "flag --head-timeout")
    assert len(str(caught.value)) < 300


def test_the_first_layer_that_has_a_value_wins() -> None:
    first = {"head_timeout": Given("1s", "flag")}
    second = {"head_timeout": Given("2s", "env"), "logfile": Given("off", "env")}
    assert list(choose(SETTINGS, [first, second])) == [
        ("head_timeout", 1.0, "flag"),
        ("logfile", "off", "env"),
    ]
    assert list(choose(SETTINGS, [])) == [("head_timeout", 10.0, "default"), ("logfile", "-", "default")]


def test_a_bad_value_of_a_layer_that_loses_does_no_harm() -> None:
    layers = [{"head_timeout": Given("1s", "flag")}, {"head_timeout": Given("x", "env")}]
    assert next(choose(SETTINGS, layers))[1] == 1.0


def test_variables_with_the_prefix_make_a_layer_and_empty_ones_count_as_unset() -> None:
    environ = {"GREENSERVE_HEAD_TIMEOUT": "3s", "GREENSERVE_LOGFILE": "", "HEAD_TIMEOUT": "9s"}
    assert environment(SETTINGS.values(), environ) == {
        "head_timeout": Given("3s", "env GREENSERVE_HEAD_TIMEOUT")
    }
