"""The settings of the registry that say how a server runs: answers, logs, looking inside, the process.

Part of Config: see settings.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting
from greenserve_hub.osthreads.threads import DEFAULT_SIZE

__all__ = ["RunningSettings"]

ANSWERS = "Answers"
LOGS = "Logs"
DEBUGGING = "Looking inside"
PROCESS = "Process"


@dataclass(frozen=True, kw_only=True)
class RunningSettings:
    """How a server runs and what it tells."""

    server_header: bool = setting(
        True, kinds.boolean(), group=ANSWERS, help="send `Server: greenserve`", precedent="uvicorn"
    )
    sendfile: bool = setting(
        True,
        kinds.boolean(),
        group=ANSWERS,
        help="let the kernel send the files that an app hands to wsgi.file_wrapper",
    )

    access_logfile: str = setting(
        "-",
        kinds.log_file("stdout", off=True),
        embedded="off",
        group=LOGS,
        help="one line for each request: a path, - for stdout, off",
    )
    access_log_format: str = setting(
        "combined",
        kinds.log_format(),
        group=LOGS,
        help="combined, json, or Apache's atoms",
        flags=("--access-logformat",),
    )
    error_logfile: str = setting(
        "-",
        kinds.log_file("stderr", off=False),
        group=LOGS,
        help="what the server says: a path, - for stderr",
        flags=("--log-file",),
    )
    log_level: str = setting(
        "info",
        kinds.choice("debug", "info", "warning", "error", "critical"),
        group=LOGS,
        help="the least important message that is logged",
    )

    block_threshold: float = setting(
        0.1,
        kinds.duration(off="nobody watches"),
        group=DEBUGGING,
        help="a green thread that holds the hub for longer is told of in the log, with its stack",
        protects="code that computes or blocks, and stops all other requests unnoticed",
        precedent="gevent, asyncio 100ms",
    )
    dump_signal: str = setting(
        "quit",
        kinds.choice("quit", "usr1", "usr2", "off"),
        group=DEBUGGING,
        help="the signal that writes to the log what every green thread is doing",
        precedent="Go, Java QUIT",
    )
    backdoor: str = setting(
        "off",
        kinds.backdoor(),
        group=DEBUGGING,
        help="address of an interpreter inside the process, for nc or telnet: who connects can do anything; "
        "a unix socket has mode 0600",
    )
    backdoor_allow_remote: bool = setting(
        False,
        kinds.boolean(),
        group=DEBUGGING,
        help="let a backdoor listen where other machines can reach it",
    )

    chdir: str = setting(
        "",
        kinds.folder(),
        group=PROCESS,
        help="folder to go to before the app is imported; relative paths start there",
        flags=("--app-dir",),
    )
    hub: str = setting(
        "auto",
        kinds.choice("auto", "epoll", "kqueue", "poll", "select", "asyncio", "asyncio-plain"),
        group=PROCESS,
        help="how the kernel is asked which sockets are ready",
    )
    monkey_patch: bool = setting(
        True,
        kinds.boolean(),
        group=PROCESS,
        help="the command makes the standard library's blocking calls green before it imports the app",
        precedent="gunicorn's gevent and eventlet workers",
    )
    threadpool_size: int = setting(
        DEFAULT_SIZE,
        kinds.count(least=0),
        group=PROCESS,
        help="OS threads that threads.execute() may use at once; 0 calls on the spot",
        protects="a thread for each of many calls that block",
        precedent="eventlet 20",
    )
