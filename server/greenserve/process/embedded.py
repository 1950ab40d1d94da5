"""A Server that a program starts and goes on: in an OS thread and hub of its own, or in the hub that it has already.

On top of net/; embedding.py makes it. The program stays as it is: no signal handler, and when the server has stopped
nothing is left behind, neither thread, nor descriptor, nor green thread of an app.

Invariant: who has started it and never stops it still ends: with the program, which says so if nobody has connected.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
from typing import Final

from greenserve.errors import ConfigError
from greenserve.net import Server
from greenserve.process.holding import Holds
from greenserve_hub.diagnostics.watchdogs import Watchdog
from greenserve_hub.greenthreads.greenthreads import kill
from greenserve_hub.loop.current import find_hub, use_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.patching import is_monkey_patched

log = logging.getLogger("greenserve.error")

_LAST_PATIENCE: Final = 1.0  # seconds that the end of a program waits for a server that it has left running


class EmbeddedServer(Server):
    """A Server beside its program. What start() starts, stop() ends, also as a context manager."""

    _thread: threading.Thread | None = None
    _thread_failure: BaseException | None = None
    _has_listened = False

    def start(self) -> None:
        """Listen, begin to accept and return. Raises ConfigError when an address can't be had."""
        if self._started:
            raise ConfigError("a server starts once: make another")
        if is_monkey_patched("thread") and find_hub() is not None:
            super().start()
            atexit.register(self._at_exit)
        else:
            atexit.register(self._at_exit)
            self._start_thread()

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
            try:
                super().start()
                self._has_listened = True
            finally:
                started.set()
            with self._watched(hub):
                self.wait()
                _end_others(hub)
        except BaseException as error:
            self._thread_failure = error
        finally:
            atexit.unregister(self._at_exit)  # it may have ended by itself
            self.release()
            hub.close()

    def _watched(self, hub: Hub) -> contextlib.AbstractContextManager[object]:
        """In an OS thread of its own nothing is patched for, so that an app that waits holds up all its requests."""
        threshold = self.config.block_threshold
        return (
            Watchdog(Holds(self, once=True).tell, threshold, hub) if threshold else contextlib.nullcontext()
        )

    def stop(
        self, graceful: float | None = None, *, drain_delay: float = 0.0, restarts: bool = False
    ) -> None:
        """See Server; and return when its OS thread is over too. Raises what has ended it before its time."""
        super().stop(graceful, drain_delay=drain_delay, restarts=restarts)
        atexit.unregister(self._at_exit)
        self._join()

    def _join(self) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            failure, self._thread_failure = self._thread_failure, None
            if failure is not None:
                raise failure

    def _at_exit(self) -> None:
        """The program ends, and has not stopped it."""
        if self._ended.is_set():  # also in the child of a fork
            return
        if not self.counts.accepted:
            log.warning(
                "%r ends with its program, before anybody has connected: wait() serves until it is stopped, as "
                "greenserve.run() does",
                self,
            )
        if self._thread is None:
            super().stop(0)
            return
        self.hub.call_from_thread(self._stop.begin, 0.0, 0.0, False)
        self._thread.join(_LAST_PATIENCE)  # an app that holds the hub can't be ended


def _end_others(hub: Hub) -> None:
    """End what apps have left running: once its thread is over, nothing could ever wake it, or free it."""
    for _ in range(3):  # what they do in their finally clauses may take turns too
        for green in tuple(hub.parked):
            kill(green)
