"""`manage.py runserver` over greenserve, with static files and the reload of changed code, as Django has them.

Django imports its database layer before any command, and objects of it exist by then that belong to one OS thread. A
process that is patched later would share a connection between requests. So the server runs in a process of its own that
is patched before Django is imported: the one that Django's reloader starts anyway, or this one, executed again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from django.apps import apps
from django.core.management.commands.runserver import Command as Plain
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from greenserve.django.servers import DevelopmentServer
from greenserve_hub.patching import is_monkey_patched

if apps.is_installed("django.contrib.staticfiles"):
    from django.contrib.staticfiles.management.commands.runserver import Command as Base
else:
    Base = Plain

_RELOAD = 3  # the exit code by which Django's reloader asks for a new process


class Command(Base):  # type: ignore[misc]  # Django has no types
    """Serve with greenserve."""

    server_cls = DevelopmentServer

    def run(self, **options: Any) -> None:
        """Run the server in a patched process, and a new one after each change of the code."""
        if options["use_reloader"] and os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":
            environ = {**os.environ, DJANGO_AUTORELOAD_ENV: "true"}
            code = _RELOAD
            # The other process ends with this one: subprocess kills it when sys.exit() raises.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            try:
                while code == _RELOAD:
                    code = subprocess.run(_patched(), env=environ, close_fds=False, check=False).returncode
            except KeyboardInterrupt:  # which the other process was sent too
                code = 0
            sys.exit(code)
        if not is_monkey_patched("thread"):
            sys.stdout.flush()
            os.execv(sys.executable, _patched())
        super().run(**options)


def _patched() -> list[str]:
    """The command line of this program, patched before it begins."""
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # of this Python: -X, -W, ...
    program = [sys.argv[0]]
    spec = sys.modules["__main__"].__spec__
    if spec is not None:  # python -m django
        program = ["-m", spec.name.removesuffix(".__main__")]
    return [sys.executable, *flags, "-m", "greenserve.patched", *program, *sys.argv[1:]]
