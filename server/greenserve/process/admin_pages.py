"""admin_pages(): the admin pages of a process without workers, on the hub of its server. Called by single.py and
embedded.py, for the setting admin_bind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module

from greenserve.config import Config
from greenserve.net import Server

__all__ = ["admin_pages", "import_pages"]


def import_pages(config: Config) -> None:
    """Import what the pages need, if the settings ask for them: a tenth of a second, before a client has to wait."""
    if config.admin_bind != "off":
        import_module("greenserve.admin")


@contextlib.contextmanager
def admin_pages(server: Server) -> Iterator[None]:
    """Have them inside the block, if the settings say so, for a server that has started. Raises ConfigError."""
    if server.config.admin_bind == "off":
        yield
        return
    from greenserve.admin import AdminPages, Alone  # most servers need no WebOb

    with contextlib.ExitStack() as stack:
        alone = Alone(server)
        stack.callback(alone.close)
        stack.callback(AdminPages(server.config, alone).close)
        yield
