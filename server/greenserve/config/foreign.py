"""The settings of other servers, each with the advice that the error for an unknown name gives.

From gunicorn, uvicorn, waitress, granian, hypercorn, uWSGI, `flask run` and `manage.py runserver`, as flags and as keys
of their files. A test compares the table with the registry: a name that becomes a setting of ours must leave the table.

Invariant: `{bind}` in a sentence names an existing setting, and is printed in the reader's spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["FOREIGN", "NOT_NEEDED", "advice"]

NOT_NEEDED = "leave it out"  # so begins the sentence of what has no effect that would be missed
_LEAVE_OUT = f"{NOT_NEEDED}; greenserve does not need it"
_PROCESSES = "{workers} sets the number of processes"

# A hyphen matches an underscore too, and `x` matches `no-x`.
_TABLE: tuple[tuple[str, str], ...] = (
    ("port host p H", "{bind} takes both, as HOST:PORT: 0.0.0.0:8000, or [::1]:8000"),
    ("listen http-socket http11-socket insecure-bind", "{bind} takes addresses, as HOST:PORT: 0.0.0.0:8000"),
    ("uds unix-socket socket uwsgi-socket s", "{bind} takes unix:PATH"),
    ("fd", "{bind} takes fd://N"),
    ("ipv4 ipv6 6", "the address decides: {bind} 0.0.0.0:8000 or [::]:8000, or both"),
    ("uds-permissions unix-socket-perms chmod-socket", "{socket_mode} is the mode of a unix socket's file"),
    ("quic-bind", "HTTP/3 is not supported: put a proxy in front that speaks it"),
    ("https", "{bind}, {certfile} and {keyfile} make it TLS; {redirect_bind} sends plain HTTP there"),
    (
        "app wsgi-app wsgi module wsgi-file mount callable factory call",
        "the app is the last word of the command: module:app, module:factory() or the path of a file; "
        'in a configuration file it is app = "module:app"',
    ),
    ("settings", "Django reads DJANGO_SETTINGS_MODULE, which mysite.wsgi sets: greenserve mysite.wsgi"),
    (
        "paste paster ini ini-paste paste-global raw-paste-global-conf",
        "write use = egg:greenserve in [server:main] and run pserve, or a module with app = loadapp(...) in it",
    ),
    ("processes cheaper thunder-lock", _PROCESSES),
    (
        "threads blocking-threads blocking-threads-idle-timeout gevent async runtime-threads runtime-blocking-threads "
        "backpressure nothreading with-threads without-threads",
        "requests run on green threads: {pool} sets how many at the same time",
    ),
    ("worker-class k runtime-mode gevent-monkey-patch", "leave it out: every request runs on a green thread"),
    (
        "limit-concurrency connection-limit",
        "{limit_connections} limits open connections, {pool} running requests",
    ),
    (
        "timeout t harakiri http-timeout timeout-worker-healthcheck",
        "{request_timeout} ends one request that takes too long, {worker_timeout} a worker that stands still",
    ),
    (
        "keepalive channel-timeout http1-keep-alive http-keepalive cleanup-interval",
        "{keep_alive} sets the time for which an idle connection stays open",
    ),
    ("http1-header-read-timeout", "{head_timeout} sets the time for the whole head of a request"),
    (
        "read-timeout socket-timeout",
        "{body_timeout} sets the longest pause between two pieces of a body, {send_timeout} that in sending",
    ),
    (
        "workers-kill-timeout worker-reload-mercy reload-mercy",
        "{graceful_timeout} sets how long running requests may go on at a stop",
    ),
    (
        "limit-max-requests max-requests-jitter limit-max-requests-jitter max-requests-delta workers-lifetime "
        "max-worker-lifetime workers-max-rss reload-on-rss reload-on-as rss-samples rss-sample-interval "
        "respawn-failed-workers respawn-interval",
        "{max_requests}, {max_lifetime} and {max_rss} replace a worker, {max_jitter} spreads that; one that ends is "
        "always replaced",
    ),
    (
        "reload-dir reload-include reload-exclude reload-delay reload-paths reload-ignore-dirs reload-ignore-patterns "
        "reload-ignore-paths reload-tick reload-ignore-worker-failure extra-files exclude-patterns py-autoreload "
        "py-auto-reload touch-reload",
        "{reload} watches the working folder and all that the app imports; {reload_extra_files} names more files and "
        "folders",
    ),
    ("noreload", "leave it out: only {reload} reloads"),
    (
        "debug debugger",
        "{reload} restarts the app when its code changes, and shows why it can't be imported; the app has its own "
        "debug mode",
    ),
    ("max-request-body-size limit-post post-buffering", "{limit_request_body} limits the body of a request"),
    (
        "max-request-header-size h11-max-incomplete-event-size http1-buffer-size buffer-size",
        "{limit_request_head} limits the head of a request",
    ),
    ("inbuf-overflow", "{chunked_bodies} sets which bodies are read before the app is called"),
    ("outbuf-high-watermark outbuf-overflow", "{limit_unsent} limits the memory for slow clients' responses"),
    (
        "uid gid initgroups",
        "{user} and {group} set what the workers run as; a port below 1024 needs only CAP_NET_BIND_SERVICE",
    ),
    (
        "daemonize d",
        "{daemon} starts it in the background; systemd needs no such thing (deploy/systemd)",
    ),
    (
        "pid-file safe-pidfile",
        "{pid} sets the file for the process id",
    ),
    (
        "name n proc-name procname process-name default-proc-name",
        "the app gives the name: ps shows master [APP] and worker N [APP], with {workers} and the package setproctitle",
    ),
    (
        "raw-env env-file env-files",
        "{env} sets a variable, once or several times; systemd's EnvironmentFile= and docker run --env-file read files",
    ),
    (
        "pythonpath pp python-path",
        "use PYTHONPATH, or {chdir}, the folder that is searched first for modules",
    ),
    ("working-dir", "{chdir} sets the folder to change to before the app is imported"),
    ("home virtualenv venv pyhome", "run the greenserve of that environment: VENV/bin/greenserve APP"),
    (
        "lazy-apps lazy need-app enable-threads single-interpreter vacuum die-on-term "
        "no-orphans strict worker-tmp-dir tmp-upload-dir spew enable-stdio-inheritance R "
        "disable-redirect-access-to-syslog "
        "use-colors no-color force-color skip-checks http-parser asyncore-loop-timeout asyncore-use-poll recv-bytes "
        "send-bytes channel-request-lookahead http1-pipeline-flush task-impl reset-contextvars do-handshake-on-connect "
        "suppress-ragged-eofs http clear-untrusted-proxy-headers "
        "log-untrusted-proxy-headers log-socket-errors expose-tracebacks date-header http-chunked-input",
        _LEAVE_OUT,
    ),
    (
        "protocol uwsgi-allow-from uwsgi-allow-ips",
        "only HTTP is spoken: in nginx write proxy_pass for uwsgi_pass (deploy/nginx)",
    ),
    ("loop asgi-loop", "{hub} sets what waits for sockets; asyncio uses uvloop if it is installed"),
    ("interface lifespan asgi-lifespan asgi-disconnect-grace-period", "greenserve serves WSGI: leave it out"),
    ("access-log accesslog disable-logging", "{access_logfile} sets the access log's file, or off"),
    (
        "access-log-fmt log-format logformat",
        "{access_log_format} is combined, json, or a line of Apache's % codes",
    ),
    ("log errorlog error-log logto log-to", "{error_logfile} sets the error log's file"),
    ("loglevel verbose quiet verbosity", "{log_level} is debug, info, warning, error or critical"),
    (
        "logconfig logconfig-json logconfig-dict logger-class capture-output",
        "{log_config} is a file for Python's logging, in TOML, JSON or ini, for the app and for the loggers "
        "greenserve.error and greenserve.access",
    ),
    (
        "log-syslog syslog log-syslog-to syslog-addr log-syslog-prefix syslog-prefix log-syslog-facility "
        "syslog-facility",
        "{error_logfile} and {access_logfile} take syslog:, syslog:HOST:PORT?facility=local0&tag=NAME, or journald",
    ),
    (
        "statsd-host statsd-prefix dogstatsd-tags enable-backlog-metric metrics metrics-address metrics-port "
        "metrics-scrape-interval stats stats-server control-socket control-socket-mode control-socket-disable",
        "{admin_bind} opens the admin pages: /metrics for Prometheus, /stats.json, POST /reload; for StatsD let an "
        "agent read /metrics",
    ),
    ("ssl-certificate cert", "{certfile} is the certificate, {keyfile} its key"),
    ("key", "{keyfile} is the key, {certfile} its certificate"),
    ("ssl-keyfile-password keyfile-password", "{keyfile_password_file} is a file that holds the password"),
    (
        "ssl-ca",
        "{ca_certs} names the authorities of client certificates, {client_cert} asks for certificates",
    ),
    (
        "verify-mode ssl-client-verify",
        "{client_cert} asks for certificates, {ca_certs} names their authorities",
    ),
    (
        "ssl-crl",
        "revocation lists are not read: let a proxy in front check them, or give your own ssl_context",
    ),
    ("ssl-version ssl-protocol-min", "{tls_min_version} is 1.2 or 1.3"),
    (
        "http2 http-protocols http2-cleartext http2-max-concurrent-streams http2-initial-window-size "
        "http2-max-frame-size http2-max-header-list-size http2-adaptive-window http2-initial-connection-window-size "
        "http2-initial-stream-window-size http2-keep-alive-interval http2-keep-alive-timeout http2-max-headers-size "
        "http2-max-send-buffer-size",
        "HTTP/2 is not supported: put nginx in front (deploy/nginx)",
    ),
    (
        "root-path url-prefix url-path-prefix manage-script-name",
        "SCRIPT_NAME comes from the proxy's X-Forwarded-Prefix: name it in {forwarded_headers}, or use werkzeug's "
        "DispatcherMiddleware",
    ),
    (
        "url-scheme server-name",
        "they come with the request, from Host or from a proxy in {forwarded_allow_ips}",
    ),
    (
        "secure-scheme-headers forwarder-headers",
        "{forwarded_headers} names the fields that your proxy sets itself",
    ),
    ("proxy-headers trusted-proxy", "{forwarded_allow_ips} names the proxies that are believed"),
    ("proxy-allow-ips", "{proxy_allow_from} names the proxies that may send PROXY headers"),
    ("header", "set fields in the app, or in middleware around it"),
    ("ident", "{server_header} sets whether Server: greenserve is sent"),
    (
        "static-path-route static-path-mount static-path-dir-to-file static-path-expires static-map check-static "
        "offload-threads",
        "serve files from the proxy in front, or from the app with WhiteNoise",
    ),
    (
        "permit-obsolete-folding strip-header-spaces permit-unconventional-http-version casefold-http-method",
        "requests are parsed strictly by RFC 9112, without exceptions: server/greenserve/http1/README.md has the table",
    ),
    ("permit-unconventional-http-method", "leave it out: the app gets any method made of A-Z, 0-9, - and _"),
    ("ws", "leave it out: WebSockets are always served; {limit_websockets} limits their number"),
    (
        "websocket-ping-interval",
        "{ws_ping_interval} sets the silence after which a client is pinged",
    ),
    (
        "on-starting when-ready post-fork worker-exit pre-request post-request",
        "a hook is a function in greenserve_conf.py (server/greenserve/hooks/README.md)",
    ),
    (
        "on-reload pre-fork post-worker-init worker-int worker-abort pre-exec child-exit nworkers-changed on-exit",
        "this hook is not called: on_starting, when_ready, post_fork and worker_exit are "
        "(server/greenserve/hooks/README.md)",
    ),
    (
        "ssl-context",
        "{certfile}, {keyfile}, {ciphers} and {tls_min_version} set up TLS; a program may give greenserve.serve() an "
        "ssl_context of its own",
    ),
    (
        "dirty-app dirty-apps dirty-workers dirty-timeout dirty-threads dirty-graceful-timeout on-dirty-starting "
        "dirty-post-fork dirty-worker-init dirty-worker-exit",
        "greenserve runs no processes for long tasks: use a task queue such as RQ or Celery, or threads.execute()",
    ),
)


def _rows() -> Iterator[tuple[str, str]]:
    for names, sentence in _TABLE:
        for name in names.split():
            yield name, sentence


FOREIGN = dict(_rows())


def advice(name: str, spell: Callable[[str], str]) -> str | None:
    """Return the advice for `name`; None for a name of no other server.

    `name` comes without a flag's leading hyphens. `spell` turns a setting's name into the reader's spelling: a flag, a
    variable, a key.
    """
    plain = name.replace("_", "-")
    if len(plain) > 1:
        plain = plain.lower()
    sentence = FOREIGN.get(plain) or FOREIGN.get(plain.removeprefix("no-"))
    return None if sentence is None else sentence.format_map(_Spelled(spell))


class _Spelled(dict[str, str]):
    def __init__(self, spell: Callable[[str], str]) -> None:
        super().__init__()
        self._spell = spell

    def __missing__(self, name: str) -> str:
        return self._spell(name)
