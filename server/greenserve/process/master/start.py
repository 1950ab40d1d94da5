"""run_with_workers(): from a plan to a running master, and from its end to the exit code."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Sequence

from greenserve.errors import ConfigError
from greenserve.logs.error_log import open_error_log
from greenserve.process.master.master import Master
from greenserve.process.master.plan import Plan, number_of_workers
from greenserve.process.master.sockets import Sockets
from greenserve.process.starting import Starting
from greenserve.process.system.cpus import usable_cpus
from greenserve.process.system.identity import find_account, set_title

__all__ = ["run_with_workers"]

log = logging.getLogger("greenserve.error")


def run_with_workers(
    plan: Plan, sockets: Sequence[socket.socket] = (), starting: Starting | None = None
) -> int:
    """Serve with a master and workers until a signal stops them, and return the exit code. Raises ConfigError.

    In the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            "run() handles signals, which only the main thread can: call it there, or use serve()"
        )
    config = plan.config
    find_account(config.user, config.group)  # an unknown one is told before anything is bound
    with contextlib.ExitStack() as stack:
        error_log = stack.enter_context(open_error_log(config.error_logfile, config.log_level))
        set_title(f"master [{plan.name}]")
        opened = Sockets()
        stack.callback(opened.close)
        opened.take(sockets)
        opened.open(config, number_of_workers(config, usable_cpus), bool(sockets))
        master = Master(plan, opened, error_log)
        if starting is not None:
            starting.end()
        return master.run()
