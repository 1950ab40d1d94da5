"""Settings: responses, logs, debugging and the process. Part of Config, in settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting
from greenserve_hub.osthreads.threads import DEFAULT_SIZE

__all__ = ["RunningSettings"]

RESPONSES = "Responses"
LOGS = "Logs"
DEBUGGING = "Debugging"
PROCESS = "Process"


@dataclass(frozen=True, kw_only=True)
class RunningSettings:
    """The responses, the logs, debugging and the process."""

    server_header: bool = setting(
        True,
        kinds.boolean(),
        group=RESPONSES,
        help="send the field `Server: greenserve` in every response",
        precedent="uvicorn",
    )
    sendfile: bool = setting(
        True,
        kinds.boolean(),
        group=RESPONSES,
        help="let the kernel send wsgi.file_wrapper files (sendfile)",
    )

    access_logfile: str = setting(
        "-",
        kinds.log_file("stdout", off=True),
        embedded="off",
        group=LOGS,
        help="file of the access log, one line for each request: a path, - for stdout, or off",
    )
    access_log_format: str = setting(
        "combined",
        kinds.log_format(),
        group=LOGS,
        help="format of the access log: combined, json, or a line of Apache's % codes",
        flags=("--access-logformat",),
    )
    error_logfile: str = setting(
        "-",
        kinds.log_file("stderr", off=False),
        group=LOGS,
        help="file of the server's own messages: a path, or - for stderr",
        flags=("--log-file",),
    )
    log_level: str = setting(
        "info",
        kinds.choice("debug", "info", "warning", "error", "critical"),
        group=LOGS,
        help="lowest level of messages that are logged: debug, info, warning, error or critical",
    )

    block_threshold: float = setting(
        0.1,
        kinds.duration(off="no watching"),
        group=DEBUGGING,
        help="time for which code may block all requests before it is logged, with its stack",
        protects="code that computes or blocks, and delays all other requests unnoticed",
        precedent="gevent, asyncio 100ms",
    )
    dump_signal: str = setting(
        "quit",
        kinds.choice("quit", "usr1", "usr2", "off"),
        group=DEBUGGING,
        help="signal that writes the stack of every green thread to the log: quit, usr1, usr2 or off",
        precedent="Go, Java QUIT",
    )
    backdoor: str = setting(
        "off",
        kinds.backdoor(),
        group=DEBUGGING,
        help="address of a Python interpreter inside the process, for nc or telnet; anyone who connects can do "
        "anything; a unix socket gets mode 0600",
    )
    backdoor_allow_remote: bool = setting(
        False,
        kinds.boolean(),
        group=DEBUGGING,
        help="allow a backdoor address that other machines can reach",
    )

    chdir: str = setting(
        "",
        kinds.folder(),
        group=PROCESS,
        help="folder to change to before the app is imported; relative paths start there",
        flags=("--app-dir",),
    )
    hub: str = setting(
        "auto",
        kinds.choice("auto", "epoll", "kqueue", "poll", "select", "asyncio", "asyncio-plain"),
        group=PROCESS,
        help="event loop to use: auto, epoll, kqueue, poll, select, asyncio (on uvloop if installed) or "
        "asyncio-plain",
    )
    monkey_patch: bool = setting(
        True,
        kinds.boolean(),
        group=PROCESS,
        help="make the standard library's blocking calls green before the command imports the app",
        precedent="gunicorn's gevent and eventlet workers",
    )
    threadpool_size: int = setting(
        DEFAULT_SIZE,
        kinds.count(least=0, zero="the call runs in the calling thread"),
        group=PROCESS,
        help="maximum number of OS threads that threads.execute() uses at the same time",
        protects="one OS thread for each of many blocking calls",
        precedent="eventlet 20",
    )
