"""The one registry: every setting of the server, with its default, unit, reason and precedent.

Each field of Config is at once the flag, the `GREENSERVE_` variable, the key in a file and the
keyword of `greenserve.serve(...)`; `--help`, `--print-config` and the limits table are made from it.
To add a setting, add a field here and nothing anywhere else. Called by everything in the server.

Invariant: a Config that exists is valid. Durations are float seconds (0: switched off), sizes int
bytes, and no two settings contradict each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from greenserve.config import kinds
from greenserve.config.binds import BindAddress, parse_bind
from greenserve.config.registry import (
    Given,
    Setting,
    choose,
    environment,
    refuse_unknown,
    setting,
    settings_of,
)
from greenserve.errors import ConfigError
from greenserve_hub.threads import DEFAULT_SIZE

__all__ = ["SETTINGS", "Config", "check_together"]

LISTEN = "Where it listens"
AT_ONCE = "How much at once"
TIMEOUTS = "Timeouts"
LIMITS = "Limits of a request"
ANSWERS = "Answers"
LOGS = "Logs"
DEBUGGING = "Looking inside"
PROCESS = "Process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of one server. `Config(pool=8)` takes native values or their text forms."""

    bind: tuple[str, ...] = setting(
        ("127.0.0.1:8000",),
        kinds.binds(),
        group=LISTEN,
        help="address to listen at, may be given several times; port 0 takes a free port",
        flags=("-b",),
    )
    backlog: int = setting(
        2048,
        kinds.count(),
        group=LISTEN,
        help="connections that the kernel holds before they are accepted",
        protects="a burst of new connections being refused; the kernel caps it at net.core.somaxconn",
        precedent="gunicorn, uvicorn 2048",
    )
    reuse_port: bool = setting(
        False,
        kinds.boolean(),
        group=LISTEN,
        help="let several processes listen at one port (SO_REUSEPORT)",
    )
    socket_mode: int = setting(
        0o660,
        kinds.mode(),
        group=LISTEN,
        help="mode of a unix socket's file; the umask is left alone",
        protects="other users of the machine talking to a unix socket past the proxy",
        precedent="php-fpm 0660, uvicorn 0666",
    )

    pool: int = setting(
        1000,
        kinds.count(),
        group=AT_ONCE,
        help="requests that run at once",
        protects="more requests at once than the app and its database can hold",
        precedent="gunicorn, eventlet 1000",
        flags=("--worker-connections",),
    )
    limit_connections: int = setting(
        10_000,
        kinds.count(),
        group=AT_ONCE,
        help="sockets open at once; more wait in the backlog",
        protects="running out of descriptors and memory",
        precedent="waitress 100, nginx 512 a worker",
    )

    head_timeout: float = setting(
        10.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="for the whole head of a request, from its first byte; then 408",
        protects="slow-header clients (slowloris)",
        precedent="granian 30s, Apache 20s",
    )
    keep_alive: float = setting(
        75.0,
        kinds.duration(off="each connection closes after its answer"),
        group=TIMEOUTS,
        help="an idle connection stays open",
        protects="idle connections kept for ever; longer than the 60s of common load balancers, so "
        "that the balancer closes first",
        precedent="nginx 75s, gunicorn 2s, uvicorn 5s",
        flags=("--timeout-keep-alive",),
    )
    body_timeout: float = setting(
        30.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="between two pieces of a request's body; then 408",
        protects="slow-body clients that hold a slot of the pool",
        precedent="nginx 60s, Unit 30s",
    )
    send_timeout: float = setting(
        30.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="a send that makes no progress; then the connection is reset",
        protects="clients that ask and don't read",
        precedent="nginx 60s, Unit 30s",
    )
    queue_timeout: float = setting(
        10.0,
        kinds.duration(off="requests wait without end"),
        group=TIMEOUTS,
        help="a request waits for a slot of the pool; then 503 with Retry-After",
        protects="work for clients that have given up, when the pool is full",
        precedent="mod_wsgi 45s",
    )
    request_timeout: float = setting(
        300.0,
        kinds.duration(off="no deadline"),
        group=TIMEOUTS,
        help="until the app's answer begins; then 504, and only this request ends",
        protects="an app that hangs and holds its slot",
        precedent="mod_wsgi 60s",
    )
    graceful_timeout: float = setting(
        30.0,
        kinds.duration(off="running requests are ended at once"),
        group=TIMEOUTS,
        help="running requests may finish after SIGTERM; then they are ended",
        protects="a stop or deploy that never ends",
        precedent="gunicorn 30s",
        flags=("--timeout-graceful-shutdown",),
    )

    limit_request_line: int = setting(
        8190,
        kinds.size(least=16),
        group=LIMITS,
        help="the request line; more is 414",
        protects="endless request lines",
        precedent="Apache 8190, gunicorn 4094",
    )
    limit_request_field_size: int = setting(
        8190,
        kinds.size(least=16),
        group=LIMITS,
        help="one header field; more is 431",
        protects="endless header fields",
        precedent="Apache, gunicorn 8190",
        flags=("--limit-request-field_size",),
    )
    limit_request_fields: int = setting(
        100,
        kinds.count(),
        group=LIMITS,
        help="header fields of one request; more is 431",
        protects="floods of small fields, each an entry of environ",
        precedent="Apache, gunicorn 100",
    )
    limit_request_head: int = setting(
        64 << 10,
        kinds.size(least=16),
        group=LIMITS,
        help="the whole head of a request; more is 431",
        protects="memory per connection: no head takes more than this",
        precedent="http.client, eventlet 64K",
    )
    limit_request_body: int = setting(
        16 << 20,
        kinds.size(off="bodies of any length"),
        group=LIMITS,
        help="the body of a request; more is 413",
        protects="uploads that fill memory or disk",
        precedent="hypercorn 16M, Unit 8M, nginx 1M",
    )
    limit_request_discard: int = setting(
        64 << 10,
        kinds.size(off="nothing is read, the connection closes"),
        group=LIMITS,
        help="body that the app left unread, thrown away to keep the connection",
        protects="reading a long upload that nobody wants",
        precedent="Go net/http 256K",
    )

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

    def __post_init__(self) -> None:
        """Normalise every value and refuse what can't be used."""
        for one in fields(self):
            given = getattr(self, one.name)
            # Frozen for everyone else: this is still construction.
            object.__setattr__(self, one.name, SETTINGS[one.name].parse(given, f"keyword {one.name}"))
        check_together({one.name: getattr(self, one.name) for one in fields(self)}, {})

    @classmethod
    def from_settings(cls, environ: Mapping[str, str] | None = None, /, **given: Any) -> Self:
        """Build the Config of an embedded server: keywords, then environment, then defaults.

        Raises ConfigError for an unknown keyword or a bad value. No file is read, and the access log
        is off unless asked for.
        """
        refuse_unknown(given, SETTINGS, "keyword")
        layers = [
            {name: Given(value, f"keyword {name}") for name, value in given.items()},
            environment(SETTINGS.values(), os.environ if environ is None else environ),
            {s.name: Given(s.embedded, "default") for s in SETTINGS.values()},
        ]
        chosen = list(choose(SETTINGS, layers))
        values = {name: value for name, value, _ in chosen}
        check_together(values, {name: origin for name, _, origin in chosen})
        return cls(**values)

    @property
    def addresses(self) -> tuple[BindAddress, ...]:
        """`bind`, parsed."""
        return tuple(parse_bind(text) for text in self.bind)


SETTINGS: Mapping[str, Setting] = settings_of(Config)


def check_together(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """Raise ConfigError, naming both, where two settings contradict each other."""
    for name, other, why in _contradictions(values):
        shown = [
            f"{n} = {SETTINGS[n].kind.format(values[n])}" + (f" ({origins[n]})" if n in origins else "")
            for n in (name, other)
        ]
        raise ConfigError(f"{shown[0]} contradicts {shown[1]}: {why}")


def _contradictions(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for part in ("limit_request_line", "limit_request_field_size"):
        if values[part] > values["limit_request_head"]:
            yield part, "limit_request_head", "a part of the head can't be longer than the whole"
    backdoor = values["backdoor"]
    if backdoor != "off" and not values["backdoor_allow_remote"] and not parse_bind(backdoor).is_local:
        yield (
            "backdoor",
            "backdoor_allow_remote",
            (
                "it would give this process to whoever can reach that address: "
                "take unix:PATH or 127.0.0.1:PORT, or allow both"
            ),
        )
