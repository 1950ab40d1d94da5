"""The admin pages, for the setting admin_bind: admin_pages() on the hub of a server without workers, for single.py and
embedded.py; PagesOfMaster on the hub of a master.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from greenserve.config import Config
from greenserve.config.tokens import token_of
from greenserve.net import Server

if TYPE_CHECKING:
    from greenserve.admin import AdminPages, Master

__all__ = ["PagesOfMaster", "admin_pages", "import_pages"]


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


class PagesOfMaster:
    """The admin pages of a master, which stay where they are when the settings are read again."""

    def __init__(self, config: Config) -> None:
        """`config`: of the master's start."""
        self._config = config
        self._pages: AdminPages | None = None
        self.file: tuple[str, int] | None = None  # of a unix socket: its whole path, and its inode

    @contextlib.contextmanager
    def open(self, master: Master) -> Iterator[None]:
        """Have them inside the block. Raises ConfigError."""
        from greenserve.admin import AdminPages  # most servers need no WebOb

        with contextlib.closing(AdminPages(self._config, master)) as self._pages:
            if file := self._pages.server.listeners[0].file:
                self.file = os.path.abspath(file[0]), file[1]
            yield

    def reread(self, config: Config) -> Callable[[], None]:
        """Return what makes settings count that were read again: the token. Raises ConfigError."""
        pages = self._pages
        token = "" if pages is None else token_of(config)

        def count() -> None:
            if pages is not None:
                pages.access.take(token)

        return count
