"""gunicorn's settings, each with its place here: a setting of ours, a hook, the app, or the reason why there is none.

Its flags are read by this table too, for GUNICORN_CMD_ARGS and for `greenserve migrate`. A test compares the table with
the settings of the installed gunicorn, and with the registry. Called by sources.py, commands/ and the tests that write
the table of server/MOVING.md.

Invariant: a setting of gunicorn's that is neither given nor the same here has its sentence in foreign.py, so each is
explained once.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from greenserve.config.foreign import NOT_NEEDED, advice
from greenserve.config.hooks import HOOKS
from greenserve.config.settings import SETTINGS
from greenserve.config.values.registry import Given
from greenserve.errors import ConfigError

__all__ = ["GUNICORN", "VARIABLE", "GunicornSetting", "parse_flags", "read_variable", "translate"]

VARIABLE = "GUNICORN_CMD_ARGS"

# Of the command itself.
_OF_THE_COMMAND = {"config": "-c", "check_config": "--check-config", "print_config": "--print-config"}


@dataclass(frozen=True, slots=True)
class GunicornSetting:
    """One of gunicorn's settings: its flags, and the name that it has here, or will have when it is there."""

    name: str
    flags: tuple[str, ...]
    is_switch: bool  # a flag without a value
    is_list: bool  # a flag that may come several times
    has_default: bool  # a flag whose value may be left out
    renamed: str

    @property
    def ours(self) -> str:
        """The name of our setting or hook, or `app`; "" if there is none."""
        name = self.renamed or self.name
        return name if name in SETTINGS or name in HOOKS or name == "app" else ""

    def place(self, spell: Callable[[str], str]) -> str:
        """Return in words what it is here; `spell` as in foreign.advice."""
        if self.name in _OF_THE_COMMAND:
            return f"a flag of the command, {_OF_THE_COMMAND[self.name]}"
        if self.ours in HOOKS:
            return "the same hook, in greenserve_conf.py"
        if self.ours:
            return spell(self.ours)
        names = (self.name, *(flag.lstrip("-") for flag in self.flags))
        return next((helpful for name in names if (helpful := advice(name, spell))), "")

    @property
    def is_needless(self) -> bool:
        """Return True if it can be left out without a loss."""
        return not self.ours and self.place(str).startswith(NOT_NEEDED)


# name, then its name here if that differs, then its flags. A flag with ! takes no value, one with ? may
# have none, one with + may come repeatedly.
_TABLE = """
config . -c --config
wsgi_app app
bind . -b+ --bind+
backlog . --backlog
workers . -w --workers
worker_class . -k --worker-class
threads . --threads
worker_connections pool --worker-connections
max_requests . --max-requests
max_requests_jitter . --max-requests-jitter
timeout . -t --timeout
graceful_timeout . --graceful-timeout
keepalive keep_alive --keep-alive
limit_request_line . --limit-request-line
limit_request_fields . --limit-request-fields
limit_request_field_size . --limit-request-field_size
reload . --reload!
reload_engine . --reload-engine
reload_extra_files . --reload-extra-file+
spew . --spew!
check_config . --check-config!
print_config . --print-config!
preload_app preload --preload!
sendfile . --no-sendfile!
reuse_port . --reuse-port!
chdir . --chdir
daemon . -D! --daemon!
raw_env env -e+ --env+
pidfile pid -p --pid
worker_tmp_dir . --worker-tmp-dir
user . -u --user
group . -g --group
umask . -m --umask
initgroups . --initgroups!
tmp_upload_dir .
secure_scheme_headers .
forwarded_allow_ips . --forwarded-allow-ips
accesslog access_logfile --access-logfile
disable_redirect_access_to_syslog . --disable-redirect-access-to-syslog!
access_log_format . --access-logformat
errorlog error_logfile --error-logfile --log-file
loglevel log_level --log-level
capture_output . --capture-output!
logger_class . --logger-class
logconfig log_config --log-config
logconfig_dict .
logconfig_json log_config --log-config-json
syslog_addr . --log-syslog-to
syslog . --log-syslog!
syslog_prefix . --log-syslog-prefix
syslog_facility . --log-syslog-facility
enable_stdio_inheritance . -R! --enable-stdio-inheritance!
statsd_host . --statsd-host
dogstatsd_tags . --dogstatsd-tags
statsd_prefix . --statsd-prefix
enable_backlog_metric . --enable-backlog-metric!
proc_name . -n --name
default_proc_name .
pythonpath . --pythonpath
paste . --paste --paster
on_starting .
on_reload .
when_ready .
pre_fork .
post_fork .
post_worker_init .
worker_int .
worker_abort .
pre_exec .
pre_request .
post_request .
child_exit .
worker_exit .
nworkers_changed .
on_exit .
ssl_context .
proxy_protocol . --proxy-protocol?
proxy_allow_ips proxy_allow_from --proxy-allow-from
protocol . --protocol
uwsgi_allow_ips . --uwsgi-allow-from
keyfile . --keyfile
certfile . --certfile
ssl_version . --ssl-version
cert_reqs client_cert --cert-reqs
ca_certs . --ca-certs
suppress_ragged_eofs . --suppress-ragged-eofs!
do_handshake_on_connect . --do-handshake-on-connect!
ciphers . --ciphers
http_protocols . --http-protocols
http2_cleartext . --http2-cleartext
http2_max_concurrent_streams . --http2-max-concurrent-streams
http2_initial_window_size . --http2-initial-window-size
http2_max_frame_size . --http2-max-frame-size
http2_max_header_list_size . --http2-max-header-list-size
raw_paste_global_conf . --paste-global+
permit_obsolete_folding . --permit-obsolete-folding!
strip_header_spaces . --strip-header-spaces!
permit_unconventional_http_method . --permit-unconventional-http-method!
permit_unconventional_http_version . --permit-unconventional-http-version!
casefold_http_method . --casefold-http-method!
forwarder_headers . --forwarder-headers
header_map . --header-map
asgi_loop . --asgi-loop
asgi_lifespan . --asgi-lifespan
asgi_disconnect_grace_period . --asgi-disconnect-grace-period
websocket_max_message_size ws_max_size --websocket-max-message-size
http_parser . --http-parser
root_path . --root-path
dirty_apps . --dirty-app+
dirty_workers . --dirty-workers
dirty_timeout . --dirty-timeout
dirty_threads . --dirty-threads
dirty_graceful_timeout . --dirty-graceful-timeout
on_dirty_starting .
dirty_post_fork .
dirty_worker_init .
dirty_worker_exit .
control_socket . --control-socket
control_socket_mode . --control-socket-mode
control_socket_disable . --no-control-socket!
"""


def _rows() -> Sequence[GunicornSetting]:
    rows = []
    for line in _TABLE.split("\n")[1:-1]:
        name, ours, *flags = line.split()
        rows.append(
            GunicornSetting(
                name,
                tuple(flag.rstrip("!+?") for flag in flags),
                is_switch=any(flag.endswith("!") for flag in flags),
                is_list=any(flag.endswith("+") for flag in flags),
                has_default=any(flag.endswith("?") for flag in flags),
                renamed="" if ours == "." else ours,
            )
        )
    return rows


GUNICORN = {row.name: row for row in _rows()}


def translate(name: str, value: object) -> object:
    """Return a value of gunicorn's setting `name` as ours takes it, where it means the same."""
    if name == "bind":
        given = value.split(",") if isinstance(value, str) else value
        return [_with_port(one) for one in given] if isinstance(given, list | tuple) else value
    if name == "accesslog" and value is None:
        return "off"
    if name == "proxy_protocol":
        words = {"true": "auto", "1": "auto", "false": "off", "0": "off", "none": "off"}
        return words.get(str(value).lower(), value)
    return value


def _with_port(address: object) -> object:
    """gunicorn's port is 8000 unless it is given."""
    if not isinstance(address, str) or address.startswith(("unix:", "fd://")):
        return address
    bare = address.removeprefix("tcp://")
    has_port = ":" in bare.rpartition("]")[2] if bare.startswith("[") else ":" in bare
    return bare if has_port else f"{bare}:8000"


# Its command line ---------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"not a command line of gunicorn: {message}")


def parse_flags(argv: Sequence[str]) -> dict[str, Any]:
    """Return what a command line of gunicorn sets, without its name, by gunicorn's names. Raises ConfigError.

    `wsgi_app` is the app; several words that are no flags are an error.
    """
    parser = _Parser(prog="gunicorn", add_help=False, argument_default=argparse.SUPPRESS)
    for row in GUNICORN.values():
        options: dict[str, Any] = {"dest": row.name}
        if row.is_switch:
            options |= {"action": "store_const", "const": row.name != "sendfile"}
        elif row.is_list:
            options["action"] = "append"
        elif row.has_default:
            options |= {"nargs": "?", "const": "auto"}
        if row.flags:
            parser.add_argument(*row.flags, **options)
    parser.add_argument("words", nargs="*")
    found = vars(parser.parse_args(list(argv)))
    words = found.pop("words", [])
    if len(words) > 1:
        raise ConfigError(f"not a command line of gunicorn: one app at a time, not {' and '.join(words)}")
    return found | ({"wsgi_app": words[0]} if words else {})


def read_variable(environ: Mapping[str, str]) -> dict[str, Given]:
    """Return what GUNICORN_CMD_ARGS sets, by our names; what greenserve does not need is passed over.

    Raises ConfigError for a flag whose meaning greenserve can't keep.
    """
    if not environ.get(VARIABLE):
        return {}
    try:
        found = parse_flags(shlex.split(environ[VARIABLE]))
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"env {VARIABLE}: {error}") from None
    if "logconfig_json" in found:
        found.pop("logconfig", None)  # which gunicorn does not read then
    layer = {}
    for name, value in found.items():
        row = GUNICORN[name]
        flag = row.flags[-1] if row.flags else "the app"
        if row.ours:
            layer[row.ours] = Given(translate(name, value), f"env {VARIABLE}: {flag}")
        elif name == "config":
            raise ConfigError(
                f"env {VARIABLE}: {flag} is a file of gunicorn's: see greenserve migrate {value}"
            )
        elif not row.is_needless:
            raise ConfigError(
                f"env {VARIABLE}: {flag}: {row.place(lambda ours: SETTINGS[ours].flag)}; or unset {VARIABLE}, if it is "
                "not meant for greenserve"
            )
    return layer
