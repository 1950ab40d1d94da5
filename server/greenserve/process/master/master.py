"""Master: the process above the workers, which binds, forks, watches, reloads and stops.

It runs a hub, but forks in its main green thread alone, where all its steps are taken one after another: signals,
messages and ends of workers are put into one queue. What follows from them is decided in crew.py.

Invariants: it never waits for a worker. When it ends, however that happens, its workers end by themselves.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Final

from greenserve.errors import ConfigError
from greenserve.logs.error_log import ErrorLog
from greenserve.process.admin_pages import PagesOfMaster
from greenserve.process.crew.checks import Limits
from greenserve.process.crew.crew import Crew
from greenserve.process.crew.seats import Failure, State, count_of
from greenserve.process.master.channel import Channel, Message, pair
from greenserve.process.master.handover import HandedWorker, Handover, Held
from greenserve.process.master.plan import Plan, number_of_workers, tell_what_waits
from greenserve.process.master.rows import Rows
from greenserve.process.master.sockets import Sockets
from greenserve.process.master.upgrading import Upgrading
from greenserve.process.master.worker import Birth, become_worker
from greenserve.process.master.worker_process import WorkerProcess
from greenserve.process.notifying import Watchdog, notify, notify_reloading
from greenserve.process.reloading.watching import Watching
from greenserve.process.serving import tell_how_to_stop, tell_places
from greenserve.process.system.cpus import usable_cpus
from greenserve.process.system.exits import how_it_ended, kills_for_memory, reap_strangers
from greenserve.process.system.forking import fork_without_handlers, handling
from greenserve.process.system.identity import own_logs
from greenserve.process.system.pid_files import PidFile
from greenserve.version import VERSION
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.queues import Queue
from greenserve_hub.unpatched import os as native_os
from greenserve_hub.unpatched import signal, socket, time

if TYPE_CHECKING:
    from greenserve.process.master.overview import Overview

__all__ = ["Master"]

log = logging.getLogger("greenserve.error")

_TICK: Final = 0.25  # seconds
_LAST_WORDS: Final = 1.0  # seconds that messages of an ended worker may take to be read
_SIGNALS: Final = {
    signal.SIGTERM: "stop",
    signal.SIGINT: "stop",
    signal.SIGHUP: "reload",
    signal.SIGUSR1: "reopen",
    signal.SIGUSR2: "upgrade",
    signal.SIGQUIT: "pass_on",
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
        self._size = number_of_workers(plan.config, usable_cpus)
        self._good = plan, self._size  # of the last reload that has succeeded
        self._sockets = sockets
        self._error_log = error_log
        self._pid_file = pid_file
        self._ready = ready
        self._hub = get_hub()
        self._hub.expect_calls()
        self._todo: Queue[Callable[[], object]] = Queue()
        self._board = Rows()
        self._rows: dict[WorkerProcess, int | None] = {}  # None: a row of the board before
        self._overview: Overview | None = None  # without admin pages
        self._admin = PagesOfMaster(plan.config)
        self._number = 0
        self._is_reloading = False  # and systemd waits for the end of it
        self._ended: dict[WorkerProcess, str] = {}  # by now, but with messages that are not read yet
        self._kills = kills_for_memory()
        self._is_announced = False
        config = plan.config
        self.crew = Crew(
            self._hire,
            self._size,
            Limits.of(config),
            time.monotonic,
            adopts=config.worker_sockets == "own",
            rolled=lambda succeeded: self._todo.put(partial(self._rolled, succeeded)),
        )
        self._watching = Watching(self._hub, config, plan.preloaded, Channel, self.crew, self._todo.put)
        self._watchdog = Watchdog.of(os.environ, is_extended=handover is not None)
        self._before = handover
        self._admin_bind = config.admin_bind
        self._upgrading = Upgrading(
            self._next_handover, self._held, sockets, self._tell_of_reload, self._reread
        )

    def run(self) -> int:
        """Serve until a signal stops it, and return the exit code. Raises ConfigError if no worker can start."""
        handlers = {number: partial(self._take_signal, step) for number, step in _SIGNALS.items()}
        with handling(handlers), self._pages(), closing(self._watching), closing(self._upgrading):
            self._watching.start()
            self._begin()
            self._tick_later()
            while not self.crew.is_over:
                step = self._todo.get()
                try:
                    step()
                except Exception:  # the workers serve, and must not end with it
                    log.exception("a fault of greenserve's own, please report it; the master goes on")
        self._hub.stop_expecting_calls()
        if self.crew.failure is not None:
            raise self.crew.failure.error()
        log.info("stopped")
        return 0

    def _pages(self) -> AbstractContextManager[object]:
        if self._plan.config.admin_bind == "off":
            return nullcontext()
        # Most servers need no WebOb.
        from greenserve.process.master.overview import Overview

        reload = partial(self._todo.put, partial(self._reload, signal.SIGHUP))
        self._overview = Overview(self._rows, self._board.totals, lambda: self._plan, reload)
        return self._admin.open(self._overview)

    def _begin(self) -> None:
        if self._before is None:
            self.crew.start()
            return
        size = self.crew.size
        self._number = self._before.number
        board = self._board.take_over(self._before.board)
        for one in self._before.workers:
            # One that has lived through two programs gets a new row: its board is lost.
            index, row = (None, board.row(one.row)) if one.row else self._board.take()
            worker = WorkerProcess(one.number, one.seat, one.pid, row, time.monotonic(), self._sockets.own_of)
            self._rows[worker] = index
            worker.listen(socket.socket(fileno=one.channel), self._hears, self._hears_end)
            self.crew.take_over(worker, one.is_leaving)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())  # which the one before has blocked
        log.info(
            "greenserve %s goes on in process %d: each worker is replaced by a new one",
            VERSION,
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
            if worker not in self._ended:
                is_leaving = worker.state is not State.READY
                fd = worker.channel.fileno()
                workers.append(HandedWorker(worker.pid, worker.number, worker.seat, row or 0, fd, is_leaving))
        self._watching.restart()
        self._watchdog.extend(self._plan.config.worker_start_timeout)
        pid_file = self._pid_file.fd if self._pid_file else -1
        parts = self._sockets.state(), workers, self._board.board.fd, pid_file, self._number
        return Handover(*parts, list(self._admin.file) if self._admin.file else None)

    def _held(self, settings_only: bool) -> Held:
        pid_file = self._pid_file.path if self._pid_file else ""
        return Held(self._sockets.addresses, pid_file, self._admin_bind, settings_only, os.getpid())

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
        index, row = self._board.take()
        given = self._sockets.of(seat)
        parent = os.getpid()
        with ExitStack() as undo:  # if the system refuses
            undo.callback(self._board.drop, index)
            ours, theirs = pair()
            undo.callback(ours.close)
            undo.callback(theirs.close)
            pid = fork_without_handlers(_SIGNALS)
            undo.pop_all()
        if pid == 0:
            ours.close()
            self._sockets.leave_behind(given)
            if given.shared:
                given = given._replace(hold_back=self._board.sharing(index).hold_back)
            asked = self._overview is not None
            birth = Birth(self._plan, self._number, given, theirs, row, self._error_log, parent, asked)
            become_worker(birth)
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
        elif "stops" in message:
            self.crew.leaves(worker)
        elif "loaded" in message:
            self._watching.loaded(message["loaded"])
        elif self._overview is not None:
            self._overview.questions.answered(message)

    def _announce(self, message: Message) -> None:
        if self._is_announced:
            return
        self._is_announced = True
        tell_places(message["ready"], message["redirects"])
        tell_how_to_stop(count_of(self.crew.size))
        notify("READY=1", self._status())
        self._ready()

    def _status(self) -> str:
        return f"STATUS=serving with {count_of(self.crew.size)}"

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
        if self._plan.has_code:
            self._upgrading.check_settings("SIGHUP", self._plan)
        else:
            self._reread()

    def _reread(self) -> None:
        try:
            plan = self._plan if self._plan.reread is None else self._plan.reread()
            size = number_of_workers(plan.config, usable_cpus)
            count_for_admin = self._admin.reread(plan.config)
            self._sockets.open(plan.config, max(size, len(self.crew.seats)))
        except ConfigError as error:
            log.error(
                "reload failed: %s. Everything goes on as before; mend it, then reload again (SIGHUP)", error
            )
            return
        count_for_admin()
        tell_what_waits(self._plan.config, plan.config)
        self._tell_of_reload()
        log.info("reloading: each worker is replaced when a new one is ready")
        self._plan = plan
        self.crew.limits = Limits.of(plan.config)
        self._size = size
        self.crew.roll(size)
        if size > self.crew.size:
            self.crew.resize(size)

    def _tell_of_reload(self) -> None:
        self._is_reloading = True
        notify_reloading()

    def _rolled(self, succeeded: bool) -> None:
        """A reload is over. After a failure a worker that dies is replaced with the settings of before."""
        if succeeded:
            self._good = self._plan, self._size
            self.crew.resize(self._size)  # fewer only now: a reload that fails takes none away
        elif not self.crew.is_rolling:
            self._plan, size = self._good
            self.crew.limits = Limits.of(self._plan.config)
            self._sockets.open(self._plan.config, size)
            self.crew.resize(size)
        if not self.crew.is_rolling:
            self._sockets.drop_unused()

    def _reopen(self, number: int) -> None:
        own_logs(self._plan.config)
        self._error_log.reopen()
        self._pass_on(number)

    def _upgrade(self, number: int) -> None:
        if not self.crew.is_stopping:
            self._upgrading.begin(signal.Signals(number).name, self._plan)

    def _pass_on(self, number: int) -> None:
        for worker in self._rows:
            worker.pass_on(number)

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
        if size != self.crew.size and not self.crew.is_stopping:
            log.info("%s from now on", count_of(size))
            self._size = size
            self._good = self._good[0], size
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
        if os.getpid() == 1:
            own = {worker.pid for worker in self._rows} - {worker.pid for worker in self._ended}
            reap_strangers(own | self._upgrading.pids | self._watching.pids)

    def _bury(self, worker: WorkerProcess) -> None:
        """The crew hears of an end when it was waited for and all messages were read."""
        how = self._ended.pop(worker, None)
        if how is None:
            return
        worker.channel.close()
        self._board.fold(worker.row, self._rows.pop(worker))
        self.crew.exited(worker, how)
