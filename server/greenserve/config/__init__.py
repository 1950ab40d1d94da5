"""Configuration: the registry of settings, and the flags, variables, files and keywords that set them.

Below everything else in the server: it imports `greenserve.errors`, the access log's formats and the syntax of proxies'
addresses, and nothing that runs. Config and the registry come from settings.py, the command's configuration from
sources.py, listening addresses from values/binds.py. README.md says how to add a setting.
"""

from greenserve.config.settings import SETTINGS, Config
from greenserve.config.sources import Loaded, load_config
from greenserve.config.values.binds import BindAddress, parse_bind

__all__ = ["SETTINGS", "BindAddress", "Config", "Loaded", "load_config", "parse_bind"]
