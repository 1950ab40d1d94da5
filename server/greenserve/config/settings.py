"""The registry: every setting of the server, with its default, unit, reason and precedent.

Each field of Config is the flag, the `GREENSERVE_` variable, the key in a file and the keyword of
`greenserve.serve(...)`; `--help`, `--print-config` and the limits table are made from it. The fields stand in groups/,
one module for each subject. Called by everything in the server.

Invariant: a Config that exists is valid. Durations are float seconds (0: off), sizes are int bytes, and no two settings
contradict each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from greenserve.config.groups.admin import AdminSettings
from greenserve.config.groups.encryption import TLSSettings
from greenserve.config.groups.limits import LimitSettings
from greenserve.config.groups.listening import ListeningSettings
from greenserve.config.groups.logs import LogSettings
from greenserve.config.groups.proxies import ProxySettings
from greenserve.config.groups.running import RunningSettings
from greenserve.config.groups.websockets import WebSocketSettings
from greenserve.config.groups.workers import WorkerSettings
from greenserve.config.unknown_names import refuse_unknown, refuse_unknown_variables
from greenserve.config.values.binds import BindAddress, parse_bind
from greenserve.config.values.registry import Given, Layer, Setting, choose, environment, settings_of
from greenserve.errors import ConfigError

__all__ = ["SETTINGS", "Config", "contradictions"]


@dataclass(frozen=True, kw_only=True)
class Config(
    AdminSettings,
    RunningSettings,
    WorkerSettings,
    LogSettings,
    WebSocketSettings,
    LimitSettings,
    ProxySettings,
    TLSSettings,
    ListeningSettings,
):  # last first
    """All settings of one server. `Config(pool=8)` takes Python values or their text forms."""

    def __post_init__(self) -> None:
        """Parse every value, and raise ConfigError for one that can't be used."""
        for name, entry in SETTINGS.items():
            # The class is frozen, but this is still construction.
            object.__setattr__(self, name, entry.parse(getattr(self, name), f"keyword {name}"))
        _check_together(vars(self), {})

    @classmethod
    def from_settings(cls, environ: Mapping[str, str] | None = None, /, **given: Any) -> Self:
        """Build the Config of an embedded server: keywords beat the environment, which beats the defaults.

        `host` and `port` may replace `bind`, which may also be a port or (host, port). No file is read, and the access
        log is off by default. Raises ConfigError for an unknown keyword or variable, or a bad value.
        """
        environ = os.environ if environ is None else environ
        _set_bind(given)
        refuse_unknown(given, SETTINGS, "keyword")
        refuse_unknown_variables(environ, SETTINGS)
        config, _ = cls.from_layers(
            [
                {name: Given(value, f"keyword {name}") for name, value in given.items()},
                environment(SETTINGS.values(), environ),
                {s.name: Given(s.embedded, "default") for s in SETTINGS.values()},
            ]
        )
        return config

    @classmethod
    def from_layers(cls, layers: Iterable[Layer]) -> tuple[Self, dict[str, str]]:
        """Build the Config of several sources, the strongest first; return it with the source of each value.

        Raises ConfigError for a bad value, and for two values that contradict each other.
        """
        chosen = list(choose(SETTINGS, layers))
        origins = {name: origin for name, _, origin in chosen}
        config = object.__new__(cls)  # __init__ would parse the values a second time
        vars(config).update((name, value) for name, value, _ in chosen)
        _check_together(vars(config), origins)
        return config, origins

    @cached_property
    def addresses(self) -> tuple[BindAddress, ...]:
        """The addresses of `bind`."""
        return tuple(parse_bind(text) for text in self.bind)

    @cached_property
    def redirect_addresses(self) -> tuple[BindAddress, ...]:
        """The addresses of `redirect_bind`."""
        return tuple(parse_bind(text) for text in self.redirect_bind)


def _set_bind(given: dict[str, Any]) -> None:
    """Turn `host`, `port` and a `bind` made of numbers into the text form of `bind`."""
    if given.keys() & {"host", "port"}:
        if "bind" in given:
            raise ConfigError("give bind, or host and port, not both (keyword bind)")
        given["bind"] = _joined(given.pop("host", "127.0.0.1"), given.pop("port", 8000))
    elif "bind" in given:
        bind = given["bind"]
        if isinstance(bind, list | tuple) and not _is_pair(bind):
            given["bind"] = [_as_text(one) for one in bind]
        else:
            given["bind"] = _as_text(bind)


def _is_pair(value: object) -> bool:
    """Return True for an address of the socket module: (host, port), and two more numbers for IPv6."""
    return isinstance(value, tuple) and len(value) in (2, 4) and all(type(one) is int for one in value[1:])


def _as_text(address: object) -> object:
    if type(address) is int:
        return f"127.0.0.1:{address}"
    if isinstance(address, tuple) and _is_pair(address):
        return _joined(*address[:2])
    return address


def _joined(host: object, port: object) -> str:
    text = str(host)
    return f"[{text}]:{port}" if ":" in text and text[0] != "[" else f"{text}:{port}"


SETTINGS: Mapping[str, Setting] = settings_of(Config)


def _check_together(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """Raise ConfigError if two settings contradict each other; it names both."""
    for name, other, why in contradictions(values):
        shown = [
            f"{n} = {SETTINGS[n].kind.format(values[n])}" + (f" ({origins[n]})" if n in origins else "")
            for n in (name, other)
        ]
        raise ConfigError(f"{shown[0]} contradicts {shown[1]}: {why}")


def _of_a_daemon(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in ("error_logfile", "access_logfile"):
        if values["daemon"] and values[name] == "-":
            where = "name a file, syslog: or journald" + (", or off" if name == "access_logfile" else "")
            yield "daemon", name, f"in the background there is no terminal: {where}"


def contradictions(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the pairs of settings that contradict each other, with the reason. `values` of all settings."""
    for part in ("limit_request_line", "limit_request_field_size"):
        if values[part] > values["limit_request_head"]:
            yield part, "limit_request_head", "a part of the head can't be longer than the whole"
    certificates, keys = len(values["certfile"]), len(values["keyfile"])
    if keys and keys != certificates:
        yield (
            "keyfile",
            "certfile",
            "give a keyfile for each certfile, or none if the certfiles hold their keys",
        )
    if values["client_cert"] != "none" and not values["ca_certs"]:
        yield "client_cert", "ca_certs", "name the authorities whose client certificates are accepted"
    if values["ca_certs"] and values["client_cert"] == "none":
        yield (
            "ca_certs",
            "client_cert",
            "it is for client certificates only: ask for them (optional or required), or put a chain into the certfile",
        )
    for address in values["redirect_bind"]:
        if address in values["bind"] and not address.endswith(":0"):
            yield (
                "redirect_bind",
                "bind",
                f"{address} can't speak both plain HTTP and TLS: give each its own port",
            )
    if values["proxy_protocol"] != "off" and not values["proxy_allow_from"]:
        yield "proxy_protocol", "proxy_allow_from", "no peer could connect: name your proxy's address"
    admin = values["admin_bind"]
    if admin in values["bind"] and not admin.endswith(":0"):
        yield "admin_bind", "bind", "the app is served there: give the admin pages an address of their own"
    yield from _of_a_daemon(values)
    backdoor = values["backdoor"]
    if backdoor != "off" and not values["backdoor_allow_remote"] and not parse_bind(backdoor).is_local:
        yield (
            "backdoor",
            "backdoor_allow_remote",
            (
                "it would give this process to everyone who can reach that address: "
                "use unix:PATH or 127.0.0.1:PORT, or set both"
            ),
        )
