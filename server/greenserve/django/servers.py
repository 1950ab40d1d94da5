"""The server behind `manage.py runserver`, in the form in which Django's command makes its own.

Knows net/ and nothing of Django. The invariant: an address that can't be had is an OSError when it is made, which
Django's command explains.
"""

from __future__ import annotations

import os
import socket
from socketserver import ThreadingMixIn

from greenserve.config import SETTINGS, Config
from greenserve.net import Server
from greenserve.wsgi import WSGIApplication
from greenserve_hub.greenio.serving import listen

__all__ = ["DevelopmentServer"]


class DevelopmentServer:
    """Takes the place of Django's WSGIServer. Settings come from the environment; the access log is on."""

    _app: WSGIApplication

    def __init__(self, address: tuple[str, int], handler: object, ipv6: bool = False) -> None:
        """Listen. `handler` has no meaning here: it would write the responses. Raises OSError."""
        given: dict[str, object] = {}
        if not os.environ.get(SETTINGS["access_logfile"].env):
            given["access_logfile"] = "-"
        if not isinstance(self, ThreadingMixIn):  # which Django adds, unless --nothreading was given
            given["pool"] = 1
        self._config = Config.from_settings(**given)
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self._socket = listen(address, family, self._config.backlog)
        self.server_port: int = self._socket.getsockname()[1]

    def set_app(self, app: WSGIApplication) -> None:
        """Take the app, which Django gives after the address."""
        self._app = app

    def serve_forever(self) -> None:
        """Serve until Ctrl-C, or until the process ends. Switches: always."""
        server = Server(self._app, self._config, sockets=[self._socket])
        server.start()
        try:
            server.wait()
        finally:
            server.stop(0)
