"""Master: the process above the workers, which binds, forks, watches, reloads and stops.

It runs a hub, but forks in its main green thread alone, where all its steps are taken one after another: signals,
messages and ends of workers are put into one queue. What follows from them is decided in crew.py.

Invariants: it never waits for a worker. When it ends, however that happens, its workers end by themselves.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from types import FrameType
from typing import Final

from greenserve.config import Config
from greenserve.errors import RETRY, AppImportError, ConfigError
from greenserve.logs.error_log import ErrorLog
from greenserve.metrics.board import Board
from greenserve.process.master.channel import Channel, Message, pair
from greenserve.process.master.crew import Crew, Limits
from greenserve.process.master.plan import Plan, number_of_workers
from greenserve.process.master.seats import Failure, State
from greenserve.process.master.sharing import HELD, Sharing
from greenserve.process.master.sockets import Sockets
from greenserve.process.master.upgrading import HandedWorker, Handover, Upgrading
from greenserve.process.master.worker import become_worker
from greenserve.process.master.worker_process import BEAT, WorkerProcess
from greenserve.process.notifying import Watchdog, notify
from greenserve.process.reloading.watching import Watching
from greenserve.process.system.cpus import usable_cpus
from greenserve.process.system.exits import how_it_ended, kills_for_memory
from greenserve.process.system.pid_files import PidFile
from greenserve.version import version
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.queues import Queue
from greenserve_hub.unpatched import os as native_os
from greenserve_hub.unpatched import signal, socket, time

__all__ = ["Master"]

log = logging.getLogger("greenserve.error")

_TICK: Final = 0.25  # seconds
_LAST_WORDS: Final = 1.0  # seconds that messages of an ended worker may take to be read
_ROWS: Final = 4096  # of the board: more workers than any machine runs at once
_MORE_ROWS: Final = 64  # workers that may come after one that shares a socket with them
_SIGNALS: Final = {
    signal.SIGTERM: "stop",
    signal.SIGINT: "stop",
    signal.SIGHUP: "reload",
    signal.SIGUSR1: "reopen",
    signal.SIGUSR2: "upgrade",
    signal.SIGQUIT: "dump",
    signal.SIGTTIN: "more",
    signal.SIGTTOU: "fewer",
    signal.SIGCHLD: "reap",
}


class Master:
    """Serves with several processes. In the main thread."""

    def __init__(
        self,
        plan: Plan,
        sockets: Sockets,
        error_log: ErrorLog,
        *,
        pid_file: PidFile | None = None,
        handover: Handover | None = None,
        ready: Callable[[], object] = lambda: None,
    ) -> None:
        """`sockets` are open already. `handover`: from the program before this one. `ready()`: the first worker is."""
        self._plan = plan
        self._sockets = sockets
        self._error_log = error_log
        self._pid_file = pid_file
        self._ready = ready
        self._hub = get_hub()
        self._hub.expect_calls()
        self._todo: Queue[Callable[[], object]] = Queue()
        self._board = Board([BEAT, HELD], _ROWS)
        self._free_rows = list(range(_ROWS))  # a heap: the lowest are used
        self._rows: dict[WorkerProcess, int | None] = {}  # None: a row of the board before
        self._number = 0
        self._is_reloading = False  # and systemd waits for the end of it
        self._ended: dict[WorkerProcess, str] = {}  # by now, but with messages that are not read yet
        self._kills = kills_for_memory()
        self._is_announced = False
        self._ticks = False
        config = plan.config
        self.crew = Crew(
            self._hire,
            number_of_workers(config, usable_cpus),
            _limits(config),
            time.monotonic,
            adopts=config.worker_sockets == "own",
        )
        self._watching = Watching(self._hub, config, plan.preloaded, Channel, self.crew, self._todo.put)
        self._watchdog = Watchdog.of(os.environ)
        self._before = handover
        self._upgrading = Upgrading(self._next_handover, self._sockets, self._tell_of_reload)

    def run(self) -> int:
        """Serve until a signal stops it, and return the exit code. Raises ConfigError if no worker can start."""
        before = {
            number: signal.signal(number, partial(self._take_signal, step))
            for number, step in _SIGNALS.items()
        }
        try:
            self._watching.start()
            self._begin()
            self._tick_later()
            while not self.crew.is_over:
                self._todo.get()()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._hub.stop_expecting_calls()
            self._watching.close()
        if self.crew.failure is not None:
            raise _error_of(self.crew.failure)
        log.info("stopped")
        return 0

    def _begin(self) -> None:
        if self._before is None:
            self.crew.start()
            return
        size = self.crew.size
        self._number = self._before.number
        board = Board.attach(self._before.board)
        for one in self._before.workers:
            worker = WorkerProcess(
                one.number, one.seat, one.pid, board.row(one.row), time.monotonic(), self._sockets.own_of
            )
            self._rows[worker] = None
            worker.listen(socket.socket(fileno=one.channel), self._hears, self._hears_end)
            self.crew.take_over(worker, one.is_leaving)
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, signal.valid_signals()
        )  # the program before has blocked them
        log.info(
            "greenserve %s goes on in process %d: each worker is replaced by a new one",
            version(),
            os.getpid(),
        )
        self.crew.roll()
        self.crew.resize(size)
        self._reap(signal.SIGCHLD)

    def _next_handover(self) -> Handover | None:
        """Return what the next program needs; None while a message is under way, which it would cut in two."""
        if not all(worker.channel.is_quiet for worker in self._rows):
            return None
        workers = []
        for worker, row in self._rows.items():
            if worker.state is State.STARTING:
                worker.stop(signal.SIGTERM)
            if worker not in self._ended and row is not None:
                is_leaving = worker.state is not State.READY
                fd = worker.channel.fileno()
                workers.append(HandedWorker(worker.pid, worker.number, worker.seat, row, fd, is_leaving))
        self._watching.restart()
        pid_file = self._pid_file.fd if self._pid_file else -1
        return Handover(self._sockets.state(), workers, self._board.fd, pid_file, self._number)

    def _take_signal(self, step: str, number: int, frame: FrameType | None) -> None:
        self._hub.call_from_thread(self._todo.put, partial(getattr(self, f"_{step}"), number))

    def _tick_later(self) -> None:
        self._hub.call_after(_TICK, self._todo.put, self._tick)

    def _tick(self) -> None:
        self._tick_later()
        self.crew.tick()
        self._watchdog.ping()
        if self._is_reloading and not self.crew.is_rolling:
            self._is_reloading = False
            notify("READY=1", self._status())
        if not self.crew.is_stopping:
            self._upgrading.step(self._plan)

    # Workers ---------------------------------------------------------------------------------------------

    def _hire(self, seat: int) -> WorkerProcess:
        """Fork a worker. Returns in the master only."""
        self._number += 1
        index = heappop(self._free_rows)
        row = self._board.row(index)
        row.clear()
        given = self._sockets.of(seat)
        try:
            ours, theirs = pair()
        except OSError:
            heappush(self._free_rows, index)
            raise
        parent = os.getpid()
        masked = signal.pthread_sigmask(
            signal.SIG_BLOCK, _SIGNALS
        )  # or a handler of the master runs in the child
        try:
            pid = native_os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            heappush(self._free_rows, index)
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            ours.close()
            self._sockets.leave_behind(given)
            if given.shared:
                rows = len(self._rows) + _MORE_ROWS
                given = given._replace(hold_back=Sharing(self._board, index, rows).hold_back)
            become_worker(self._plan, self._number, given, theirs, row, self._error_log, parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        theirs.close()
        worker = WorkerProcess(self._number, seat, pid, row, time.monotonic(), self._sockets.own_of)
        self._rows[worker] = index
        worker.listen(ours, self._hears, self._hears_end)
        return worker

    def _hears(self, worker: WorkerProcess, message: Message) -> None:
        self._todo.put(partial(self._told, worker, message))

    def _hears_end(self, worker: WorkerProcess) -> None:
        self._todo.put(partial(self._bury, worker))

    def _told(self, worker: WorkerProcess, message: Message) -> None:
        if "ready" in message:
            self.crew.ready(worker)
            self._announce(message)
            if self.crew.is_ready:
                self._watching.are_ready()
        elif "failed" in message:
            worker.failure = Failure(message["failed"], message["code"], message["details"])
        elif "replace" in message:
            self.crew.wants_to_go(worker, message["replace"])
        elif "loaded" in message:
            self._watching.loaded(message["loaded"])

    def _announce(self, message: Message) -> None:
        if self._is_announced:
            return
        self._is_announced = True
        for place in message["ready"]:
            log.info("listening at %s", place)
        for url in message["redirects"]:
            log.info("redirecting %s to https", url)
        log.info(
            "greenserve runs as process %d with %d workers; stop it with Ctrl-C or `kill %d`, reload it with "
            "`kill -HUP %d`",
            *(os.getpid(), self.crew.size, os.getpid(), os.getpid()),
        )
        notify("READY=1", self._status())
        self._ready()

    def _status(self) -> str:
        return f"STATUS=serving with {self.crew.size} workers"

    # Signals ---------------------------------------------------------------------------------------------

    def _stop(self, number: int) -> None:
        name = signal.Signals(number).name
        if self.crew.is_stopping:
            log.info("%s while stopping: stopping at once", name)
        else:
            log.info("%s: stopping", name)
            notify("STOPPING=1", "STATUS=stopping")
        self.crew.stop(number)

    def _reload(self, number: int) -> None:
        if self.crew.is_stopping:
            return
        if self._plan.preloaded:
            log.info("SIGHUP: the app is preloaded, so the whole program is loaded again, as by SIGUSR2")
            self._upgrade(number)
            return
        try:
            plan = self._plan if self._plan.reread is None else self._plan.reread()
            size = number_of_workers(plan.config, usable_cpus)
            self._sockets.open(plan.config, max(size, len(self.crew.seats)))
        except ConfigError as error:
            log.error(
                "reload failed: %s. Everything goes on as before; mend it, then reload again (SIGHUP)", error
            )
            return
        self._tell_of_reload()
        log.info("reloading: each worker is replaced when a new one is ready")
        self._plan = plan
        self.crew.limits = _limits(plan.config)
        self.crew.roll()
        self.crew.resize(size)

    def _tell_of_reload(self) -> None:
        self._is_reloading = True
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notify("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reloading")

    def _reopen(self, number: int) -> None:
        self._error_log.reopen()
        for worker in self._rows:
            worker.pass_on(signal.SIGUSR1)

    def _upgrade(self, number: int) -> None:
        if not self.crew.is_stopping:
            self._upgrading.begin(signal.Signals(number).name, self._plan)

    def _dump(self, number: int) -> None:
        for worker in self._rows:
            worker.pass_on(signal.SIGQUIT)

    def _more(self, number: int) -> None:
        self._resize(self.crew.size + 1)

    def _fewer(self, number: int) -> None:
        self._resize(max(1, self.crew.size - 1))

    def _resize(self, size: int) -> None:
        try:
            self._sockets.grow(size, self._plan.config.backlog)
        except ConfigError as error:
            log.error("no worker more: %s", error)
            return
        if size != self.crew.size:
            log.info("%d workers from now on", size)
            self.crew.resize(size)

    # Ends ------------------------------------------------------------------------------------------------

    def _reap(self, number: int) -> None:
        for worker in tuple(self._rows):
            if worker in self._ended:
                continue
            try:
                pid, status = native_os.waitpid(worker.pid, os.WNOHANG)
            except ChildProcessError:  # other code has waited for it
                pid, status = worker.pid, 0
            if pid:
                kills = kills_for_memory()
                self._ended[worker] = how_it_ended(status, kills > self._kills)
                self._kills = kills
                if worker.channel.is_closed:
                    self._todo.put(partial(self._bury, worker))  # behind its messages
                else:  # a process that the app has started may hold the other end open
                    self._hub.call_after(_LAST_WORDS, self._todo.put, partial(self._bury, worker))

    def _bury(self, worker: WorkerProcess) -> None:
        """The crew hears of an end when it was waited for and all messages were read."""
        how = self._ended.pop(worker, None)
        if how is None:
            return
        worker.channel.close()
        row = self._rows.pop(worker)
        if row is not None:
            worker.row.clear()
            heappush(self._free_rows, row)
        self.crew.exited(worker, how)


def _limits(config: Config) -> Limits:
    return Limits(config.worker_timeout, config.worker_start_timeout, config.graceful_timeout)


def _error_of(failure: Failure) -> ConfigError:
    may_pass = failure.code == RETRY
    if failure.code == AppImportError.exit_code or failure.details:
        return AppImportError(failure.text, failure.details, may_pass=may_pass)
    return ConfigError(failure.text, may_pass=may_pass)
