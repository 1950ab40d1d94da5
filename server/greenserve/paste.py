"""greenserve for PasteDeploy: `use = egg:greenserve` in `[server:main]` of an ini file, as `pserve` reads it.

    [server:main]
    use = egg:greenserve
    host = 0.0.0.0
    port = 6543
    pool = 200

All settings may stand there, and `monkey_patch = false`. pserve makes the server before it imports the app, so that the
app's blocking calls are green as under the command. Knows embedding.py, and nothing of Paste.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from greenserve.config import SETTINGS
from greenserve.embedding import run
from greenserve.errors import ConfigError
from greenserve.loading.process_check import check_process
from greenserve.wsgi import WSGIApplication
from greenserve_hub.patching.monkey import patch_early

__all__ = ["server_factory", "server_runner"]


def server_factory(
    global_conf: Mapping[str, str] | None = None, **settings: str
) -> Callable[[WSGIApplication], None]:
    """Patch the process and return a function that serves an app: the entry point `paste.server_factory`."""
    name = "monkey_patch"
    try:
        if SETTINGS[name].parse(
            settings.pop(name, os.environ.get(SETTINGS[name].env) or True), f"keyword {name}"
        ):
            check_process()
            patch_early()
    except ConfigError as error:
        _end(error)

    def serve(app: WSGIApplication) -> None:
        try:
            code = run(app, **settings)
        except ConfigError as error:
            _end(error)
        if code:
            raise SystemExit(code)

    return serve


def server_runner(
    app: WSGIApplication, global_conf: Mapping[str, str] | None = None, **settings: str
) -> None:
    """Serve an app that is there already: the entry point `paste.server_runner`."""
    server_factory(global_conf, **settings)(app)


def _end(error: ConfigError) -> Any:
    sys.stderr.write(f"greenserve: {error}\n")
    raise SystemExit(error.exit_code)
