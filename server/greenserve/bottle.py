"""greenserve for Bottle: `bottle.run(server="greenserve")`, once this module is imported.

    import greenserve.bottle

    greenserve.monkey_patch()
    bottle.run(app, server="greenserve", host="0.0.0.0", port=8000, pool=200)

Bottle finds servers by a table of its own, to which this import adds one. Without the import, and on Bottle's command
line, the name is "greenserve.bottle:Server". All settings may be given as options. Knows embedding.py and Bottle.
"""

from __future__ import annotations

import bottle

from greenserve.embedding import run
from greenserve.wsgi import WSGIApplication

__all__ = ["Server"]


class Server(bottle.ServerAdapter):  # type: ignore[misc]  # Bottle has no types
    """Runs greenserve until SIGTERM or SIGINT."""

    def run(self, handler: WSGIApplication) -> None:
        """Serve. Raises ConfigError for an option that is no setting."""
        run(handler, **{"host": self.host, "port": self.port, **self.options})


bottle.server_names["greenserve"] = Server
