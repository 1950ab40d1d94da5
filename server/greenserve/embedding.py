"""Serving from inside a program.

`serve` runs the server in a thread of its own, `run` as the command does, `wsgi_server` like eventlet's wsgi.server.

On top of net/ and process/. Embedding does not change the host program: no monkey patching, no signal handler, no
sys.exit, no logging setup, and nothing is left when it ends. Only `run` takes the signals, because then the server is
the program.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from functools import partial
from typing import Any

from greenserve.config import SETTINGS, Config
from greenserve.config.hooks import HOOKS, check_hook, closest_hook
from greenserve.errors import ConfigError
from greenserve.hooks import Hooks, Process
from greenserve.loading.loader import check_wsgi, enter_folder, load_app
from greenserve.logs.log_config import configure_logging
from greenserve.net import Server
from greenserve.process.embedded import EmbeddedServer
from greenserve.process.master.plan import Plan, logical_folder, needs_master
from greenserve.process.single import run as run_process
from greenserve.process.system.settling import set_environment
from greenserve.wsgi import WSGIApplication
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.loop.current import get_hub


def serve(
    app: WSGIApplication | str,
    bind: str | int | tuple[str, int] | Sequence[str] | None = None,
    *more: object,
    ssl_context: ssl.SSLContext | None = None,
    **settings: Any,
) -> Server:
    """Start a server in an OS thread and hub of its own; return the Server, which already accepts connections.

    In a program whose threads are patched it runs in the current hub, together with everything else.

    The Server is a context manager: the end of the block stops it gracefully, within `graceful_timeout` seconds.
    Without a block call stop(). `app` is a WSGI app or a "module:attr". `bind` is an address, a list of them, a port,
    or (host, port); `host` and `port` may replace it. The default is port 0, a free one: see Server.url. `ssl_context`
    makes it speak TLS, like `certfile`, and is used unchanged.

    `chdir`, `error_logfile`, `log_level`, `log_config`, `threadpool_size`, `dump_signal`, `backdoor`, `pid`, `env` and
    `umask` have no effect here: they are for run() and the command, which own their process; `monkey_patch` and
    `eventlet` are for the command alone. Hooks are keywords too, see hooks/README.md. Raises ConfigError for bad
    settings, for `workers`, for a hook that fails at the start, and for addresses that can't be bound.
    """
    if more or isinstance(app, socket.socket | GreenSocket):
        raise ConfigError(
            "greenserve.serve() takes a WSGI app; for eventlet's serve(sock, handle) use "
            "greenserve_hub.serve(sock, handle), for its wsgi.server(sock, app) use greenserve.wsgi_server(sock, app)"
        )
    if isinstance(app, str):
        app = load_app(app)
    check_wsgi(app)
    if bind is not None:
        settings["bind"] = bind
    elif settings.keys() & {"host", "port"}:
        settings.setdefault("port", 0)
    else:
        settings["bind"] = "127.0.0.1:0"
    hooks = _take_hooks(settings)
    config = _in_this_process(Config.from_settings(**settings))
    server = EmbeddedServer(app, config, hooks, ssl_context)
    server.start()
    return server


def run(app: WSGIApplication | str, **settings: Any) -> int:
    """Serve in this process until SIGTERM or SIGINT, as the command does, and return the exit code. Blocks.

    Hooks are keywords too, see hooks/README.md. Raises ConfigError.
    """
    hooks = _take_hooks(settings)
    config = Config.from_settings(**settings)
    if config.daemon:
        raise ConfigError(
            "daemon is for the command: a program that is to run in the background does that itself"
        )
    folder = logical_folder()
    enter_folder(config.chdir)
    set_environment(config)
    configure_logging(config.log_config)
    if needs_master(config):
        from greenserve.process.master.start import run_with_workers  # most programs have no workers

        return run_with_workers(_plan(app, config, folder, hooks))
    if isinstance(app, str):
        app = load_app(app)
    check_wsgi(app)
    return run_process(app, config, hooks=hooks)


def _take_hooks(settings: dict[str, Any]) -> Hooks:
    """Take the hooks out of a call's keywords. Raises ConfigError for one that can't be called."""
    for name in settings.keys() - SETTINGS.keys() - HOOKS.keys():
        if close := closest_hook(name):
            raise ConfigError(f"unknown keyword {name}: did you mean {close}, a hook?")
    return Hooks(
        check_hook(name, settings.pop(name), f"keyword {name}") for name in HOOKS if name in settings
    )


def _plan(app: WSGIApplication | str, config: Config, folder: str, hooks: Hooks) -> Plan:
    """What a master serves: a named app is imported in each worker, another one was made before they are forked."""
    if not isinstance(app, str):
        check_wsgi(app)
    elif config.preload:
        app = load_app(app)
    if isinstance(app, str):
        return Plan(config, partial(load_app, app), None, False, app, None, False, folder, hooks)
    return Plan(config, partial(_identity, app), None, True, type(app).__name__, None, False, folder, hooks)


def _identity(app: WSGIApplication) -> WSGIApplication:
    return app


def _in_this_process(config: Config) -> Config:
    if needs_master(config):
        raise ConfigError(
            "workers and other settings of a master are for greenserve.run() and the command, which own their process: "
            "leave them out"
        )
    return config


def wsgi_server(
    sock: socket.socket,
    app: WSGIApplication,
    *,
    max_size: int | None = None,
    keepalive: bool | float = True,
    socket_timeout: float | None = None,
    url_length_limit: int | None = None,
    log_output: bool = True,
    ssl_context: ssl.SSLContext | None = None,
    **settings: Any,
) -> None:
    """Serve a listening socket in the current hub until it is stopped, like eventlet's `wsgi.server(sock, app)`.

    Switches: always.

    Takes eventlet's `max_size` (pool), `keepalive` (False, True or seconds), `socket_timeout` (body and send, seconds),
    `url_length_limit` (request line, bytes) and `log_output`, all settings, and hooks (hooks/README.md). `ssl_context`
    replaces eventlet's wrap_ssl(sock): the socket itself stays plain. Killing the green thread that it runs in stops it
    gracefully. Raises ConfigError.
    """
    if max_size is not None:
        settings.setdefault("pool", max_size)
    if keepalive is not True:
        settings.setdefault("keep_alive", float(keepalive))
    if socket_timeout is not None:
        settings.setdefault("body_timeout", socket_timeout)
        settings.setdefault("send_timeout", socket_timeout)
    if url_length_limit is not None:
        settings.setdefault("limit_request_line", url_length_limit)
    if log_output:
        settings.setdefault("access_logfile", "-")
    check_wsgi(app)
    if not isinstance(sock, socket.SocketType):  # the class in C, which every copy of the module shares
        raise ConfigError(
            f"wsgi_server() takes a listening socket first, as greenserve.listen() returns, not {type(sock).__name__}"
        )
    if hasattr(sock, "do_handshake"):
        raise ConfigError("wsgi_server() takes a plain socket: give the context of wrap_ssl() as ssl_context")
    hooks = _take_hooks(settings)
    config = _in_this_process(Config.from_settings(**settings))
    itself = Process(os.getpid(), config)
    hooks.on_starting(itself)
    server = Server(hooks.around(app, itself), config, sockets=[sock], ssl_context=ssl_context)
    get_hub()
    with hooks.worker(itself, itself):
        server.start()
        try:
            hooks.when_ready(itself)
            server.wait()
        finally:
            server.stop()
