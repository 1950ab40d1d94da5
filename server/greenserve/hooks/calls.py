"""Hooks: all hooks of one server, and how each is called.

Called by process/: the master, and a server in one process. The invariants: an error in a hook that runs while requests
are served is logged and harms none of them; an error in on_starting or when_ready is a ConfigError, and the start
fails.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from greenserve.config import Config
from greenserve.config.hooks import Hook
from greenserve.errors import ConfigError
from greenserve.hooks.requests import Around
from greenserve.wsgi import WSGIApplication
from greenserve_hub.tracebacks import format_error

__all__ = ["Hooks", "Process"]

log = logging.getLogger("greenserve.error")


@dataclass(frozen=True, slots=True)
class Process:
    """What a hook gets as `server` or `worker`: the process, its settings, and the server's log."""

    pid: int
    config: Config
    log: logging.Logger = log


class Hooks:
    """The hooks of one server. Of several with one name each is called, in their order."""

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        """`hooks` are checked already."""
        self._hooks = tuple(hooks)

    def on_starting(self, server: Process) -> None:
        """The command begins: nothing listens yet. Raises ConfigError. Switches: if a hook does, as all here."""
        self._call_at_start("on_starting", server)

    def when_ready(self, server: Process) -> None:
        """The server listens. Raises ConfigError."""
        self._call_at_start("when_ready", server)

    def post_fork(self, server: Process, worker: Process) -> None:
        """In the worker, before it serves. Raises nothing but what ends a process or a green thread."""
        self._call("post_fork", server, worker)

    def worker_exit(self, server: Process, worker: Process) -> None:
        """In the worker, after it has stopped. Raises as post_fork."""
        self._call("worker_exit", server, worker)

    @contextmanager
    def worker(self, server: Process, worker: Process) -> Iterator[None]:
        """Run a worker's life in this block: post_fork before it, worker_exit after it, also after an error."""
        self.post_fork(server, worker)
        try:
            yield
        finally:
            self.worker_exit(server, worker)

    def around(self, app: WSGIApplication, worker: Process) -> WSGIApplication:
        """Return `app`, with pre_request and post_request around each call if there are any."""
        before = [hook for hook in self._hooks if hook.name == "pre_request"]
        after = [hook for hook in self._hooks if hook.name == "post_request"]
        return Around(app, worker, before, after) if before or after else app

    def _call_at_start(self, name: str, *arguments: Process) -> None:
        for hook in self._named(name):
            try:
                hook.call(*arguments)
            except ConfigError:
                raise
            except (Exception, SystemExit) as error:
                what = " ".join(f"{type(error).__name__}: {error}".split())
                trace = error.__traceback__
                raise ConfigError(
                    f"the hook {name} ({hook.origin}) failed: {what}; mend it, or take it out",
                    details=format_error(error, trace.tb_next if trace is not None else None),
                ) from error

    def _call(self, name: str, *arguments: Process) -> None:
        for hook in self._named(name):
            try:
                hook.call(*arguments)
            except (Exception, SystemExit):
                log.exception(
                    "the hook %s (%s) failed; the worker goes on without it: mend the hook, or take it out",
                    name,
                    hook.origin,
                )

    def _named(self, name: str) -> list[Hook]:
        return [hook for hook in self._hooks if hook.name == name]
