"""run_with_workers(): from a plan to a running master, and from its end to the exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence

from greenserve.config import Config, parse_bind
from greenserve.config.tokens import token_of
from greenserve.errors import ConfigError
from greenserve.hooks import Process
from greenserve.net.sockets.binding import file_of, open_listener, remove_file
from greenserve.process.master.handover import Handover, Held
from greenserve.process.master.master import Master
from greenserve.process.master.plan import Plan, number_of_workers
from greenserve.process.master.sockets import Sockets
from greenserve.process.serving import open_log
from greenserve.process.starting import Starting
from greenserve.process.system.cpus import usable_cpus
from greenserve.process.system.identity import find_account, own_logs, set_title
from greenserve.process.system.pid_files import PidFile

__all__ = ["check_start", "run_with_workers"]

log = logging.getLogger("greenserve.error")


def run_with_workers(
    plan: Plan,
    sockets: Sequence[socket.socket] = (),
    *,
    starting: Starting | None = None,
    handover: Handover | None = None,
) -> int:
    """Serve with a master and workers until a signal stops them, and return the exit code. Raises ConfigError.

    In the main thread. `starting` is given by the command; `handover` by the program before this one in this process.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            "run() handles signals, which only the main thread can: call it there, or use serve()"
        )
    config = plan.config
    account = find_account(config.user, config.group)  # an unknown one is told before anything is bound
    own_logs(config)
    with contextlib.ExitStack() as stack:
        error_log = stack.enter_context(open_log(config))
        set_title(f"master [{plan.name}]")
        pid_file = None
        if config.pid:
            pid_file = PidFile(config.pid, -1 if handover is None else handover.pid_file)
            stack.callback(pid_file.close)
        itself = Process(os.getpid(), config)
        _call(plan.hooks.on_starting, itself, handover)
        opened = Sockets(_nothing if account is None else account.own_socket)
        stack.callback(opened.close)
        if handover is not None:
            opened.restore(handover.sockets)
            if handover.admin_file is not None:  # the pages may be elsewhere now, or nowhere
                path, inode = handover.admin_file
                remove_file((path, inode))
        opened.take(sockets)
        opened.open(config, number_of_workers(config, usable_cpus))
        opened.drop_unused()
        _call(plan.hooks.when_ready, itself, handover)
        ready: Callable[[], object] = _nothing
        if starting is not None:
            starting.end()
            ready = starting.ready
        return Master(plan, opened, error_log, pid_file=pid_file, handover=handover, ready=ready).run()


def check_start(config: Config, held: Held) -> None:
    """Open what a start with these settings opens, except what the running program holds. Raises ConfigError."""
    with open_log(config):
        find_account(config.user, config.group)
        if config.pid and os.path.abspath(config.pid) != held.pid_file:
            PidFile(config.pid).close()
        if config.admin_bind != "off":
            token_of(config)
        new = [(address, config.socket_mode) for address in config.addresses + config.redirect_addresses]
        if config.admin_bind not in ("off", held.admin_bind):
            new.append((parse_bind(config.admin_bind), 0o600))
        for address, mode in new:
            if str(address) not in held.addresses and address.kind != "fd":
                with open_listener(address, 1, config.reuse_port, mode) as sock:
                    file = file_of(sock)
                remove_file(file)


def _call(hook: Callable[[Process], None], itself: Process, handover: Handover | None) -> None:
    try:
        hook(itself)
    except ConfigError as error:
        if handover is None:
            raise
        log.error("%s (the server goes on without it)", error)  # the workers of before serve


def _nothing(*_: object) -> None:
    pass
