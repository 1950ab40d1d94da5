"""Names that are no settings: each is refused with the name or the setting that its writer needs.

Covers keywords, keys, flags and the `GREENSERVE_…` variables. Called by each module that reads a source of settings.
Nothing here reads a source by itself.

Invariant: variables that other programs put into an environment under this prefix are no error. Kubernetes and Docker
make variables out of the name of a service or container, and a service may well be called greenserve.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

from greenserve.config.foreign import advice
from greenserve.config.values.registry import ENV_PREFIX
from greenserve.errors import ConfigError

__all__ = ["APP", "closest", "refuse_unknown", "refuse_unknown_variables"]

APP = ENV_PREFIX + "APP"  # the app that the command serves

# Ours, but no settings: tests read them, and so do the switches that leave C extensions unused.
_OURS = re.compile(r"APP|CFLAGS|CORE|LDFLAGS|PURE|TEST_\w+")
# kubernetes.io/docs/concepts/services-networking/service/#environment-variables, in the format of Docker's links.
_OF_A_SERVICE = re.compile(
    r"(?:\w+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)|(?:\w+_)?ENV_\w+"
)
_URL_OF_A_SERVICE = re.compile(r"(?:\w+_)?PORT=(?:tcp|udp|sctp)://.*|(?:\w+_)?NAME=/.*")


def refuse_unknown(names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise ConfigError for the first of `names` that is not among the settings `known`."""
    known = list(known)
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown setting {name} ({where}){closest(name.replace('-', '_'), known)}")


def refuse_unknown_variables(environ: Mapping[str, str], names: Iterable[str]) -> None:
    """Raise ConfigError for the first variable with our prefix that is none of the settings `names`."""
    known = [name.upper() for name in names]
    for variable, value in environ.items():
        name = variable.removeprefix(ENV_PREFIX)
        if name == variable or not value or name in known:
            continue
        if _OURS.fullmatch(name) or _OF_A_SERVICE.fullmatch(name):
            continue
        if _URL_OF_A_SERVICE.fullmatch(f"{name}={value}"):
            continue
        end = closest(name, known, lambda setting: ENV_PREFIX + setting.upper(), ENV_PREFIX)
        raise ConfigError(f"unknown setting {variable} (environment){end}")


def closest(name: str, known: Iterable[str], spell: Callable[[str], str] = str, prefix: str = "") -> str:
    """Return the end of an "unknown …" line: advice for a name of another server's, else the closest known name.

    `known` are the names in the reader's spelling, without `prefix`; `spell` turns a setting's name into that spelling.
    """
    if helpful := advice(name.lstrip("-"), spell):
        return f": {helpful}"
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else "; greenserve --help lists all"
