"""Settings: responses, debugging and the process. Part of Config, in settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting
from greenserve_hub.osthreads.threads import DEFAULT_SIZE

__all__ = ["RunningSettings"]

RESPONSES = "Responses"
DEBUGGING = "Debugging"
PROCESS = "Process"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # Config has these
class RunningSettings:
    """The responses, debugging and the process."""

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
    eventlet: bool = setting(
        False,
        kinds.boolean(),
        group=PROCESS,
        help="make `import eventlet` import greenserve_eventlet, in the app and in its child processes",
    )
    threadpool_size: int = setting(
        DEFAULT_SIZE,
        kinds.count(least=0, zero="the call runs in the calling thread"),
        group=PROCESS,
        help="maximum number of OS threads that threads.execute() uses at the same time",
        protects="one OS thread for each of many blocking calls",
        precedent="eventlet 20",
    )
