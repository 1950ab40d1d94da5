"""A worker: what a forked process does from its birth to its end.

It imports the app, serves on the sockets of its seat, shows by a heartbeat that its hub runs, and does what the master
says. Invariant: a worker without a master ends by itself, after what it is doing.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import json
import logging
import os
import threading
import traceback
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Final, NoReturn

from greenserve.errors import AppImportError, ConfigError
from greenserve.hooks import Process
from greenserve.logs.error_log import ErrorLog
from greenserve.metrics.board import Row
from greenserve.metrics.publisher import Publisher, resident_bytes
from greenserve.net import Server
from greenserve.net.serving.listeners import Given
from greenserve.net.serving.stats import Numbers
from greenserve.net.tls.contexts import open_tls
from greenserve.process.master.channel import Channel, Message
from greenserve.process.master.plan import Plan
from greenserve.process.master.sharing import HELD
from greenserve.process.master.worker_process import BEAT, beat_now
from greenserve.process.reloading.developing import Developing
from greenserve.process.serving import make_server, serve
from greenserve.process.stopping import Stopping
from greenserve.process.system.daemons import give_up_terminal
from greenserve.process.system.identity import end_with_parent, find_account, set_title
from greenserve.process.system.log_reopening import ignore
from greenserve.process.system.recycling import Recycling
from greenserve_hub.forks import end_child
from greenserve_hub.greenthreads.greenthreads import spawn_n
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.unpatched import signal, socket

__all__ = ["become_worker"]

log = logging.getLogger("greenserve.error")

_BEAT_EVERY: Final = 0.5  # seconds
_GRACE: Final = 0.5  # seconds for requests that run when the code has changed
_DRAIN: Final = 0.1  # seconds in which clients that ask all the time learn that their connection ends
# In a worker these have no meaning. A handler, since what is ignored stays so in programs that the app starts.
_UNUSED: Final = (signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Birth:
    """What a worker is born with."""

    plan: Plan
    number: int
    given: Given
    channel: socket.socket
    row: Row
    error_log: ErrorLog
    parent: int  # the master's process
    is_asked: bool  # the master has admin pages, whatever the settings of this worker say by now


def become_worker(birth: Birth) -> NoReturn:
    """Be a worker from now on, in the child of a fork, and end with its exit code."""
    code = 1
    try:
        code = _live(birth)
        threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter does at its end
        atexit._run_exitfuncs()
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        end_child(error)
    end_child(SystemExit(code))


def _live(birth: Birth) -> int:
    plan, channel, parent = birth.plan, birth.channel, birth.parent
    for unused in _UNUSED:
        signal.signal(unused, _nothing)
    signal.signal(signal.SIGUSR1, ignore)
    faulthandler.enable(birth.error_log.duplicate())  # SIGABRT has it log the stacks
    set_title(f"worker {birth.number} [{plan.name}]")
    config = plan.config
    if config.daemon:
        give_up_terminal()  # the master tells of what fails
    try:
        plan.enter_folder()
        # Before the user changes, who may not read the key.
        given = birth.given._replace(tls=open_tls(config, None))
        account = find_account(config.user, config.group)
        if account is not None:
            account.enter()
        end_with_parent(parent)
        itself = Process(os.getpid(), config)
        developing = Developing() if config.reload else None
        load = plan.load if developing is None else partial(developing.load, plan.load)
        with contextlib.ExitStack() as stack, plan.hooks.worker(Process(parent, config), itself):
            app = plan.hooks.around(load(), itself)
            server = make_server(app, config, birth.error_log, given=given)
            worker = _Worker(birth, developing)
            try:
                return serve(server, birth.error_log, stack, worker)
            finally:
                worker.ended()
    except ConfigError as error:
        _tell(channel, str(error), error.exit_code, error.details)
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:  # Ctrl-C stops the master too, which needs no reason
        if channel.fileno() < 0:  # it has been ready
            raise
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        _tell(channel, what, AppImportError.exit_code, traceback.format_exc())
        return AppImportError.exit_code


def _tell(channel: socket.socket, text: str, code: int, details: str) -> None:
    failed = {"failed": text, "code": code, "details": details}
    with contextlib.suppress(OSError):  # the master is gone
        channel.sendall(json.dumps(failed).encode() + b"\n")


class _Worker:
    """A worker whose server runs; see Phases."""

    ends_process = True

    def __init__(self, birth: Birth, developing: Developing | None) -> None:
        self._developing = developing
        self._is_asked = birth.is_asked
        self._row = birth.row
        self._sock = birth.channel
        self._hub: Hub
        self._server: Server
        self._stopping: Stopping
        self._channel: Channel
        self._recycling: Recycling | None = None
        self._is_stopping = False
        self._publisher: Publisher | None = None  # if there are admin pages

    def began(self, server: Server, stopping: Stopping) -> None:
        self._hub = get_hub()
        self._server = server
        self._stopping = stopping
        self._recycling = Recycling(server.config, self._hub.clock())
        stopping.take(hangup=bool(server.config.certfile))
        self._channel = Channel(self._sock, self._heard, self._is_orphaned)
        self._row[BEAT] = beat_now()
        if self._is_asked:
            import_module("greenserve.admin.questions")  # a tenth of a second, before a client has to wait
            self._publisher = Publisher(self._row, Numbers(server))
        self._tell_what_is_loaded()  # before: it says if there is an app at all
        self._channel.send({"ready": server.places, "redirects": server.redirect_urls})
        self._beat()

    def stops(self, running: int) -> None:
        self._row[HELD] = 0  # its connections are no measure for the others any more
        self._is_stopping = True
        self._channel.send({"stops": running})
        if self._developing is not None:
            self._developing.end()

    def ended(self) -> None:
        """The server has stopped: its numbers are final."""
        if self._publisher is not None:
            self._publisher.stop()

    def _beat(self) -> None:
        self._row[BEAT] = beat_now()
        self._hub.call_after(_BEAT_EVERY, self._beat)
        self._tell_what_is_loaded()
        if self._recycling is not None:
            requests = self._server.queue.begun
            if why := self._recycling.reached(self._hub.clock(), requests, resident_bytes):
                self._recycling = None
                self._channel.send({"replace": why})

    def _tell_what_is_loaded(self) -> None:
        if self._developing is not None and (news := self._developing.news()):
            self._channel.send({"loaded": news})

    def _heard(self, message: Message, fds: list[int]) -> None:
        match message.get("do"):
            case None:
                # Also if this worker's own master had no pages: a new one, after SIGUSR2, may have them.
                from greenserve.admin.questions import answer_to  # most servers need no WebOb

                self._channel.send(answer_to(self._server, message))
            case "retire":
                self._stopping.ask(signal.SIGTERM, restarts=True)
            case "make way":
                self.stops(0)
                spawn_n(partial(self._server.stop, _GRACE, drain_delay=_DRAIN, restarts=True))
            case "stop":
                self._stopping.ask(signal.SIGINT)
            case "hurry":
                self._server.stop(0)
            case "adopt":
                sockets = [socket.socket(fileno=fd) for fd in fds]
                serving = message["serving"]
                if self._is_stopping:  # a signal has told it so, which the master did not know
                    for sock in sockets:
                        sock.close()
                    return
                self._server.listening.adopt(message["seat"], Given(sockets[:serving], sockets[serving:]))
            case "leave":
                self._server.listening.leave(message["seat"])

    def _is_orphaned(self) -> None:
        log.error("the master process is gone: this worker stops")
        os.kill(os.getpid(), signal.SIGTERM)


def _nothing(*_: object) -> None:
    pass
