"""What a setting is, and how its value is chosen from several sources.

A setting is a dataclass field whose metadata holds everything that flags, variables, files, `--help` and the limits
table need. A Layer is one source: raw values, each with the name of its origin. This module does not know which
settings exist, opens no file and does not read the environment itself.

Invariant: no raw value leaves this module unparsed, and every error names setting, value, origin and the allowed values
on one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from greenserve.config.values.kinds import Kind
from greenserve.errors import ConfigError

__all__ = ["Given", "Layer", "Setting", "choose", "environment", "setting", "settings_of"]

ENV_PREFIX = "GREENSERVE_"
_SHOWN = 100  # characters of a bad value in an error


@dataclass(frozen=True, slots=True)
class Setting:
    """One entry of the registry."""

    name: str
    kind: Kind
    default: Any
    embedded: Any  # the default in greenserve.serve(...), usually the same
    group: str
    help: str
    protects: str  # what it stops, for the limits table; empty if it is no limit
    precedent: str
    aliases: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The flag on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def env(self) -> str:
        """The environment variable."""
        return ENV_PREFIX + self.name.upper()

    def parse(self, value: object, origin: str) -> Any:
        """Parse a raw value. Raises ConfigError with one line that says what is wrong."""
        try:
            return self.kind.parse(value)
        except ValueError as error:
            shown = _shown(value) if self.kind.metavar != "TOKEN" else "*****"  # a secret
            raise ConfigError(
                f"{self.name} = {shown} ({origin}): {error}; allowed: {self.kind.allowed}"
            ) from None


@dataclass(frozen=True, slots=True)
class Given:
    """A raw value and its origin: `flag --pool`, `env GREENSERVE_POOL`, `greenserve.toml: pool`."""

    value: object
    origin: str


Layer = Mapping[str, Given]

_SAME: Any = object()


def setting(
    default: Any,
    kind: Kind,
    *,
    group: str,
    help: str,
    protects: str = "",
    precedent: str = "",
    embedded: Any = _SAME,
    flags: tuple[str, ...] = (),
) -> Any:
    """Declare a field of the registry: its default (a parsed value), kind, texts and further flags."""
    facts = {
        "kind": kind,
        "embedded": default if embedded is _SAME else embedded,
        "group": group,
        "help": help,
        "protects": protects,
        "precedent": precedent,
        "aliases": flags,
    }
    return field(default=default, metadata=facts)


def settings_of(config: type[Any]) -> dict[str, Setting]:
    """Return the settings that a dataclass declares, by name, in their order."""

    def read(one: Field[Any]) -> Setting:
        return Setting(name=one.name, default=one.default, **one.metadata)

    return {one.name: read(one) for one in fields(config)}


def environment(settings: Iterable[Setting], environ: Mapping[str, str]) -> dict[str, Given]:
    """Return the layer of the `GREENSERVE_…` variables; an empty variable counts as not set."""
    return {s.name: Given(environ[s.env], f"env {s.env}") for s in settings if environ.get(s.env)}


def choose(settings: Mapping[str, Setting], layers: Iterable[Layer]) -> Iterator[tuple[str, Any, str]]:
    """Yield (name, value, origin) of each setting; the first layer that has the name wins."""
    layers = list(layers)
    for name, entry in settings.items():
        given = next((layer[name] for layer in layers if name in layer), Given(entry.default, "default"))
        yield name, entry.parse(given.value, given.origin), given.origin


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
