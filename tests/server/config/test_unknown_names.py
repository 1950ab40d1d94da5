"""config.unknown_names: a name that is no setting is an error, unless another program has made it a variable."""

from __future__ import annotations

import pytest

from greenserve.config import SETTINGS, Config, load_config
from greenserve.config.unknown_names import closest, refuse_unknown, refuse_unknown_variables
from greenserve.errors import ConfigError


def test_an_unknown_name_is_refused_with_the_closest() -> None:
    names = ["head_timeout", "logfile"]
    refuse_unknown(["logfile"], names, "x.toml")
    with pytest.raises(
        ConfigError, match=r"^unknown setting head-timeot \(x\.toml\); did you mean head_timeout\?$"
    ):
        refuse_unknown(["logfile", "head-timeot"], names, "x.toml")
    assert closest("zzz", names) == "; greenserve --help lists all"


def _line(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        refuse_unknown_variables(environ, SETTINGS)
    return str(caught.value)


def test_a_typo_is_named_with_the_closest() -> None:
    assert _line(GREENSERVE_POOOL="3") == (
        "unknown setting GREENSERVE_POOOL (environment); did you mean GREENSERVE_POOL?"
    )
    assert _line(GREENSERVE_XYZZY="3") == (
        "unknown setting GREENSERVE_XYZZY (environment); greenserve --help lists all"
    )


def test_what_another_server_calls_it_is_explained() -> None:
    assert _line(GREENSERVE_PORT="8000").endswith(
        ": GREENSERVE_BIND takes both, as HOST:PORT: 0.0.0.0:8000, or [::1]:8000"
    )


def test_settings_and_what_is_empty_or_nobodys_are_fine() -> None:
    environ = {entry.env: "x" for entry in SETTINGS.values()}
    refuse_unknown_variables(
        {**environ, "GREENSERVE_POOOL": "", "POOL": "1", "greenserve_pool": "1"}, SETTINGS
    )


@pytest.mark.parametrize("name", ["APP", "PURE", "TEST_SLOWNESS", "TEST_THOROUGHNESS"])
def test_those_that_are_ours_and_no_settings_are_fine(name: str) -> None:
    refuse_unknown_variables({f"GREENSERVE_{name}": "1"}, SETTINGS)


def test_those_of_a_service_that_is_called_greenserve_are_fine() -> None:
    # As a kubelet makes them for the services greenserve and greenserve-admin, and Docker for a link.
    for prefix in ("GREENSERVE", "GREENSERVE_ADMIN"):
        refuse_unknown_variables(
            {
                f"{prefix}_SERVICE_HOST": "10.0.0.11",
                f"{prefix}_SERVICE_PORT": "8000",
                f"{prefix}_SERVICE_PORT_HTTP": "8000",
                f"{prefix}_PORT": "tcp://10.0.0.11:8000",
                f"{prefix}_PORT_8000_TCP": "tcp://10.0.0.11:8000",
                f"{prefix}_PORT_8000_TCP_PROTO": "tcp",
                f"{prefix}_PORT_8000_TCP_PORT": "8000",
                f"{prefix}_PORT_8000_TCP_ADDR": "10.0.0.11",
                f"{prefix}_NAME": "/web/greenserve",
                f"{prefix}_ENV_PATH": "/bin",
            },
            SETTINGS,
        )
    # By these names a person would mean something.
    for name in ("PORT", "NAME"):
        assert "unknown setting" in _line(**{f"GREENSERVE_{name}": "8000"})


def test_whatever_reads_the_environment_refuses_them(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"GREENSERVE_POOOL": "3"}
    with pytest.raises(ConfigError, match="GREENSERVE_POOOL"):
        Config.from_settings(environ)
    with pytest.raises(ConfigError, match="GREENSERVE_POOOL"):
        load_config(folder=str(tmp_path), environ=environ)
    monkeypatch.setenv("GREENSERVE_POOOL", "3")
    with pytest.raises(ConfigError, match="GREENSERVE_POOOL"):
        Config.from_settings()
