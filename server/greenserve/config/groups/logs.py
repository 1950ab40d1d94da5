"""Settings: the access log and the error log. Part of Config, in settings.py. logs/README.md explains them."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds, log_kinds
from greenserve.config.values.registry import setting

__all__ = ["LogSettings"]

LOGS = "Logs"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # Config has these
class LogSettings:
    """The access log and the error log."""

    access_logfile: str = setting(
        "-",
        log_kinds.log_file("stdout", off=True),
        embedded="off",
        group=LOGS,
        help="place of the access log, one line for each request: a path, - for stdout, syslog:, "
        "syslog:HOST:PORT, journald, or off",
    )
    access_log_format: str = setting(
        "timed",
        log_kinds.log_format(),
        group=LOGS,
        help="format of the access log: timed (combined and the duration), combined, json, or a line of Apache's "
        "% codes",
        flags=("--access-logformat",),
    )
    access_log_skip: tuple[str, ...] = setting(
        (),
        log_kinds.paths(),
        group=LOGS,
        help="paths of requests that the access log leaves out, such as /healthz or /static/*; a request that "
        "fails with a 5xx status has its line all the same",
    )
    error_logfile: str = setting(
        "-",
        log_kinds.log_file("stderr", off=False),
        group=LOGS,
        help="place of the server's own messages: a path, - for stderr, syslog:, syslog:HOST:PORT or journald",
        flags=("--log-file",),
    )
    log_config: str = setting(
        "",
        kinds.file(),
        group=LOGS,
        help="file that configures Python's logging: TOML or JSON for dictConfig, ini for fileConfig; handlers of the "
        "loggers greenserve.error and greenserve.access take the place of stderr and stdout",
        precedent="gunicorn",
        flags=("--log-config-json",),
    )
    error_log_format: str = setting(
        "text",
        kinds.choice("text", "json"),
        group=LOGS,
        help="format of the error log: text or json, with one line for each message",
    )
    log_color: str = setting(
        "auto",
        kinds.choice("auto", "always", "never"),
        group=LOGS,
        help="colours in the error log: auto (on a terminal, unless NO_COLOR is set; FORCE_COLOR), always or never",
    )
    log_level: str = setting(
        "info",
        kinds.choice("debug", "info", "warning", "error", "critical"),
        group=LOGS,
        help="lowest level of messages that are logged: debug, info, warning, error or critical",
    )
    slow_request: float = setting(
        0.0,
        kinds.duration(off="no log"),
        group=LOGS,
        help="time after which a request that still runs is logged with the stack of where it is, and again at its end",
        protects="requests that take long, while nobody knows where the time goes",
        precedent="PHP-FPM request_slowlog_timeout off",
    )
    request_id_header: str = setting(
        "",
        log_kinds.field_name(),
        group=LOGS,
        help="field, such as X-Request-ID, for the id of each request: from a trusted proxy, or made if there is none; "
        "it is in environ, in the response and in both logs",
    )
    request_id_response: bool = setting(
        True,
        kinds.boolean(),
        group=LOGS,
        help="send the id of each request in its response, if there is a request_id_header",
    )
