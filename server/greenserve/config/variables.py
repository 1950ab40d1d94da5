"""The `GREENSERVE_…` variables: those that are no setting are refused, as an unknown key in a file is.

Called by whatever reads the environment. Nothing here reads it by itself.

Invariant: what others put into an environment under this prefix is no error. Kubernetes and Docker make variables out
of the name of a service or container, and a service may well be called greenserve.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from greenserve.config.values.registry import ENV_PREFIX, closest
from greenserve.errors import ConfigError

__all__ = ["APP", "refuse_unknown_variables"]

APP = ENV_PREFIX + "APP"  # which app the command serves

# Ours, but no settings: read by tests, and by C extensions that are to stay unused.
_OURS = re.compile(r"APP|PURE|TEST_\w+")
# kubernetes.io/docs/concepts/services-networking/service/#environment-variables, in the format of Docker's links.
_OF_A_SERVICE = re.compile(
    r"(?:\w+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)|(?:\w+_)?ENV_\w+"
)
_URL_OF_A_SERVICE = re.compile(r"(?:\w+_)?PORT=(?:tcp|udp|sctp)://.*|(?:\w+_)?NAME=/.*")


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
