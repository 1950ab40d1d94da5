"""Configuration: one registry of settings, and what flags, variables and files make of it.

Below everything else in the server: it imports `greenserve.errors` and the grammar of the access log,
and nothing that runs. Addresses come from binds, Config and the registry from settings, what the
command reads from sources.
"""

from greenserve.config.settings import SETTINGS, Config
from greenserve.config.sources import Loaded, load_config
from greenserve.config.values.binds import BindAddress, parse_bind

__all__ = ["SETTINGS", "BindAddress", "Config", "Loaded", "load_config", "parse_bind"]
