"""EmbeddedServer: a Server beside a program, in an OS thread and hub of its own or in the program's hub.

On top of net/; embedding.py makes it. The program stays as it is: no signal handler, and when the server has stopped
nothing is left behind, neither thread, nor descriptor, nor green thread of an app.

Invariant: a server that the program never stops ends with the program, with a line in the log if no client connected.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import ssl
import threading
from typing import Final

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.hooks import Hooks, Process
from greenserve.logs.log_config import settle_handlers
from greenserve.net import Server
from greenserve.process.admin_pages import admin_pages, import_pages
from greenserve.process.holding import Holds
from greenserve.process.slow_requests import SlowRequests
from greenserve.wsgi import WSGIApplication
from greenserve_hub.diagnostics.watchdogs import Watchdog
from greenserve_hub.greenthreads.greenthreads import kill
from greenserve_hub.loop.current import find_hub, use_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.patching import is_monkey_patched

log = logging.getLogger("greenserve.error")

_LAST_PATIENCE: Final = 1.0  # seconds that a program's end waits for a server that it did not stop


class EmbeddedServer(Server):
    """A Server beside its program: start() and stop(), also as a context manager."""

    def __init__(
        self, app: WSGIApplication, config: Config, hooks: Hooks, ssl_context: ssl.SSLContext | None
    ) -> None:
        """See Server."""
        self._hooks = hooks
        self._itself = Process(os.getpid(), config)  # server and worker at once
        super().__init__(hooks.around(app, self._itself), config, ssl_context=ssl_context)
        self._thread: threading.Thread | None = None
        self._thread_failure: BaseException | None = None
        self._has_listened = False
        self._pages = contextlib.ExitStack()
        self._life = contextlib.ExitStack()  # in the program's hub: between post_fork and worker_exit

    def start(self) -> None:
        """Listen, begin to accept and return. Raises ConfigError for an address that is not to be had."""
        if self._started:
            raise ConfigError("a server starts once: make another")
        self._hooks.on_starting(self._itself)
        if is_monkey_patched("thread") and find_hub() is not None:
            with contextlib.ExitStack() as life:
                life.enter_context(self._hooks.worker(self._itself, self._itself))
                self._start_here()
                self._life = life.pop_all()
            atexit.register(self._at_exit)
        else:
            atexit.register(self._at_exit)
            self._start_thread()

    def _start_here(self) -> None:
        import_pages(self.config)
        super().start()
        try:
            self._pages.enter_context(admin_pages(self))
            self._hooks.when_ready(self._itself)
        except BaseException:
            self.release()
            raise

    def has_stopped(self) -> None:
        """See Server."""
        self._pages.close()
        super().has_stopped()

    def _start_thread(self) -> None:
        started = threading.Event()
        self._thread = threading.Thread(target=self._live, args=(started,), name="greenserve", daemon=True)
        self._thread.start()
        started.wait()
        if not self._has_listened:
            self._join()

    def _live(self, started: threading.Event) -> None:
        hub = use_hub(self.config.hub)
        try:
            with contextlib.ExitStack() as life:
                life.enter_context(self._hooks.worker(self._itself, self._itself))
                self._start_here()
                self._has_listened = True
                started.set()
                with self._watched(hub):
                    self.wait()
                    life.close()
                    settle_handlers()
                    _end_others(hub)
        except BaseException as error:
            self._thread_failure = error
        finally:
            started.set()
            atexit.unregister(self._at_exit)  # it may have ended by itself
            self.release()
            hub.close()

    def _watched(self, hub: Hub) -> contextlib.AbstractContextManager[object]:
        """Watch for calls that wait: a program that runs the server in an OS thread need not have patched anything."""
        stack = contextlib.ExitStack()
        if threshold := self.config.block_threshold:
            stack.enter_context(Watchdog(Holds(self, once=True).tell, threshold, hub))
        if self.config.slow_request:
            stack.enter_context(SlowRequests(self, hub, self.config.slow_request))
        return stack

    def stop(
        self,
        graceful: float | None = None,
        *,
        drain_delay: float = 0.0,
        restarts: bool = False,
        jitter: float = 0.0,
    ) -> None:
        """See Server; returns when its OS thread has ended too. Raises the error that has ended the thread early."""
        super().stop(graceful, drain_delay=drain_delay, restarts=restarts, jitter=jitter)
        self._life.close()
        atexit.unregister(self._at_exit)
        self._join()

    def _join(self) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            failure, self._thread_failure = self._thread_failure, None
            if failure is not None:
                raise failure

    def _at_exit(self) -> None:
        """The program ends and has not stopped it."""
        if self._end.has_come():  # also in the child of a fork
            return
        if not self.counts.accepted:
            log.warning(
                "%r ends with its program, and no client has connected: wait() keeps serving until the server is "
                "stopped, as greenserve.run() does",
                self,
            )
        if self._thread is None:
            super().stop(0)
            self._life.close()
            return
        self._stop.begin(0.0)
        self._thread.join(_LAST_PATIENCE)  # an app that holds the hub can't be ended


def _end_others(hub: Hub) -> None:
    """End the green threads that apps have left: after their OS thread nothing could wake or free them."""
    for _ in range(3):  # their finally clauses may take turns too
        for green in tuple(hub.parked):
            kill(green)
