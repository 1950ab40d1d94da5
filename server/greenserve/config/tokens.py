"""The token of the admin pages, as the settings give it. Used by the pages, and by what asks them."""

from __future__ import annotations

from pathlib import Path

from greenserve.config.settings import Config
from greenserve.config.values.kinds import secret
from greenserve.errors import ConfigError

__all__ = ["token_of"]


def token_of(config: Config) -> str:
    """Return the token that the settings give, "" for none. Raises ConfigError."""
    path = config.admin_token_file
    if not path:
        return config.admin_token
    try:
        token = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text"
        raise ConfigError(f"admin_token_file = {path}: {why}") from None
    kind = secret()
    try:
        if not token:
            raise ValueError("empty")
        return str(kind.parse(token))
    except ValueError as error:
        raise ConfigError(f"admin_token_file = {path}: {error}; allowed: {kind.allowed}") from None
