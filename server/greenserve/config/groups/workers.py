"""Settings: worker processes, and the identity of the processes. Part of Config, in settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting

__all__ = ["WorkerSettings"]

WORKERS = "Workers"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # Config has these
class WorkerSettings:
    """Worker processes, and the identity of the processes."""

    workers: int = setting(
        1,
        kinds.workers(),
        embedded=1,
        group=WORKERS,
        help="number of worker processes, or auto: one for each CPU that this process may use; several have a master "
        "process that restarts and reloads them",
        precedent="gunicorn 1, WEB_CONCURRENCY",
        flags=("-w",),
    )
    master: bool = setting(
        False,
        kinds.boolean(),
        group=WORKERS,
        help="run a master for a single worker too, so that SIGHUP reloads the app and SIGUSR2 greenserve itself",
        precedent="gunicorn, uWSGI",
    )
    worker_sockets: str = setting(
        "own",
        kinds.choice("own", "shared"),
        group=WORKERS,
        help="own: each worker has a TCP socket of its own, and the kernel spreads connections evenly (SO_REUSEPORT); "
        "shared: all accept from one socket",
        precedent="gunicorn, uvicorn shared",
    )
    worker_timeout: float = setting(
        30.0,
        kinds.duration(off="never"),
        group=WORKERS,
        help="time after which a worker whose hub does not run is killed and replaced; its stacks are logged before",
        protects="a worker that one request has stopped for good",
        precedent="gunicorn 30s",
    )
    worker_start_timeout: float = setting(
        120.0,
        kinds.duration(off="no limit"),
        group=WORKERS,
        help="time that a new worker may take to import the app and be ready, before it is killed",
        protects="a reload that hangs in the import of the new code",
        precedent="uWSGI none",
    )
    preload: bool = setting(
        False,
        kinds.boolean(),
        group=WORKERS,
        help="import the app in the master, before it forks: workers start faster and share memory",
        precedent="gunicorn",
        flags=("--preload-app",),
    )
    reload: bool = setting(
        False,
        kinds.boolean(),
        group=WORKERS,
        help="restart the app when its code changes, and show a page with the error while it can't be imported; for "
        "development only",
        precedent="gunicorn, uvicorn",
    )
    reload_extra_files: tuple[str, ...] = setting(
        (),
        kinds.files(),
        group=WORKERS,
        help="file, or folder with all its files, that `reload` watches besides Python code: templates, say; may be "
        "given several times",
        flags=("--reload-extra-file",),
    )
    reload_engine: str = setting(
        "auto",
        kinds.choice("auto", "watchfiles", "poll"),
        group=WORKERS,
        help="watchfiles: the kernel tells `reload` of changes; poll: it looks twice a second; auto: watchfiles if it "
        "is installed",
        precedent="gunicorn auto",
    )
    max_requests: int = setting(
        0,
        kinds.count(least=0, zero="no limit"),
        group=WORKERS,
        help="number of requests after which a worker is replaced; the new one is ready before it goes",
        protects="an app that leaks memory",
        precedent="gunicorn off",
    )
    max_lifetime: float = setting(
        0.0,
        kinds.duration(off="no limit"),
        group=WORKERS,
        help="time after which a worker is replaced in the same way",
        protects="an app that leaks memory",
        precedent="granian off",
    )
    max_rss: int = setting(
        0,
        kinds.size(off="no limit"),
        group=WORKERS,
        help="resident memory above which a worker is replaced in the same way",
        protects="an app that leaks memory, before the kernel kills it",
        precedent="uWSGI off",
    )
    max_jitter: float = setting(
        0.1,
        kinds.fraction(),
        group=WORKERS,
        help="largest part by which max_requests, max_lifetime and max_rss are lowered at random for each worker",
        protects="all workers being replaced at the same moment",
        precedent="gunicorn 0",
    )
    user: str = setting(
        "",
        kinds.account(),
        group=WORKERS,
        help="user, as name or number, that workers run as; the master keeps its own, to bind ports and reopen logs",
        flags=("-u",),
    )
    group: str = setting(
        "",
        kinds.account(),
        group=WORKERS,
        help="group, as name or number, that workers run as; by default the groups of `user`",
        flags=("-g",),
    )
    umask: str = setting(
        "",
        kinds.umask(),
        group=WORKERS,
        help="umask of the processes, in octal; by default the one they are started with",
        flags=("-m",),
    )
    pid: str = setting(
        "",
        kinds.file(),
        group=WORKERS,
        help="file to write the process id to; it is locked while the server runs",
        flags=("--pidfile",),
    )
    env: tuple[str, ...] = setting(
        (),
        kinds.variables(),
        group=WORKERS,
        help="variable NAME=VALUE to set before the app is imported; may be given several times",
        flags=("-e",),
    )
    daemon: bool = setting(
        False,
        kinds.boolean(),
        group=WORKERS,
        help="run in the background, where both logs need another place than the terminal; the command returns when "
        "the server is ready, or says why it is not",
        flags=("-D",),
    )
