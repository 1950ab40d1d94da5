"""config.foreign: who comes from another server is told what its setting is called here, or what to do instead."""

from __future__ import annotations

import re

import pytest

from greenserve.config import SETTINGS, Config
from greenserve.config.foreign import _TABLE, FOREIGN, advice
from greenserve.errors import ConfigError

# What `--help` of each says, without what they have in common with every program: gunicorn 27.0, uvicorn 0.54,
# granian 2.8, hypercorn 0.18, waitress 3.0, flask 3.1, Django 5.2; of uWSGI's thousand those in its guides.
_FLAGS = {
    "gunicorn": (
        "access-logfile access-logformat asgi-disconnect-grace-period asgi-lifespan asgi-loop backlog bind "
        "ca-certs capture-output casefold-http-method cert-reqs certfile chdir check-config ciphers config "
        "control-socket control-socket-mode daemon dirty-app dirty-graceful-timeout dirty-threads "
        "dirty-timeout dirty-workers disable-redirect-access-to-syslog do-handshake-on-connect dogstatsd-tags "
        "enable-backlog-metric enable-stdio-inheritance env error-logfile forwarded-allow-ips "
        "forwarder-headers graceful-timeout group header-map http-parser http-protocols http2-cleartext "
        "http2-initial-window-size http2-max-concurrent-streams http2-max-frame-size "
        "http2-max-header-list-size initgroups keep-alive keyfile limit-request-field_size "
        "limit-request-fields limit-request-line log-config log-config-json log-file log-level log-syslog "
        "log-syslog-facility log-syslog-prefix log-syslog-to logger-class max-requests max-requests-jitter "
        "name no-control-socket no-sendfile paste paste-global paster permit-obsolete-folding "
        "permit-unconventional-http-method permit-unconventional-http-version pid preload print-config "
        "protocol proxy-allow-from proxy-protocol pythonpath reload reload-engine reload-extra-file "
        "reuse-port root-path spew ssl-version statsd-host statsd-prefix strip-header-spaces "
        "suppress-ragged-eofs threads timeout umask user uwsgi-allow-from websocket-max-message-size "
        "worker-class worker-connections worker-tmp-dir workers"
    ),
    "uvicorn": (
        "access-log app-dir backlog date-header env-file factory fd forwarded-allow-ips "
        "h11-max-incomplete-event-size header host http http2 interface lifespan limit-concurrency "
        "limit-max-requests limit-max-requests-jitter log-config log-level loop no-access-log no-date-header "
        "no-proxy-headers no-server-header no-use-colors port proxy-headers reload reload-delay reload-dir "
        "reload-exclude reload-include reset-contextvars root-path server-header ssl-ca-certs ssl-cert-reqs "
        "ssl-certfile ssl-ciphers ssl-keyfile ssl-keyfile-password ssl-version timeout-graceful-shutdown "
        "timeout-keep-alive timeout-worker-healthcheck uds use-colors workers ws ws-max-queue ws-max-size "
        "ws-per-message-deflate ws-ping-interval ws-ping-timeout"
    ),
    "granian": (
        "access-log access-log-fmt backlog backpressure blocking-threads blocking-threads-idle-timeout "
        "env-files factory host http http1-buffer-size http1-header-read-timeout http1-keep-alive "
        "http1-pipeline-flush http2-adaptive-window http2-initial-connection-window-size "
        "http2-initial-stream-window-size http2-keep-alive-interval http2-keep-alive-timeout "
        "http2-max-concurrent-streams http2-max-frame-size http2-max-headers-size http2-max-send-buffer-size "
        "interface log log-config log-level loop metrics metrics-address metrics-port metrics-scrape-interval "
        "no-access-log no-factory no-http1-keep-alive no-http1-pipeline-flush no-http2-adaptive-window no-log "
        "no-metrics no-reload no-reload-ignore-worker-failure no-respawn-failed-workers no-ssl-client-verify "
        "no-ws pid-file port process-name reload reload-ignore-dirs reload-ignore-paths "
        "reload-ignore-patterns reload-ignore-worker-failure reload-paths reload-tick respawn-failed-workers "
        "respawn-interval rss-sample-interval rss-samples runtime-blocking-threads runtime-mode "
        "runtime-threads ssl-ca ssl-certificate ssl-client-verify ssl-crl ssl-keyfile ssl-keyfile-password "
        "ssl-protocol-min static-path-dir-to-file static-path-expires static-path-mount static-path-route "
        "task-impl uds uds-permissions url-path-prefix workers workers-kill-timeout workers-lifetime "
        "workers-max-rss working-dir ws"
    ),
    "hypercorn": (
        "access-log access-logfile access-logformat backlog bind ca-certs cert-reqs certfile ciphers config "
        "daemon debug error-log error-logfile graceful-timeout group insecure-bind keep-alive keyfile "
        "keyfile-password log-config log-file log-level max-requests max-requests-jitter pid quic-bind "
        "read-timeout reload root-path server-name statsd-host statsd-prefix umask user verify-mode "
        "websocket-ping-interval worker-class workers"
    ),
    "waitress": (
        "asyncore-loop-timeout asyncore-use-poll backlog call channel-request-lookahead channel-timeout "
        "cleanup-interval clear-untrusted-proxy-headers connection-limit expose-tracebacks host ident "
        "inbuf-overflow ipv4 ipv6 listen log-socket-errors log-untrusted-proxy-headers max-request-body-size "
        "max-request-header-size no-ipv4 no-ipv6 outbuf-high-watermark outbuf-overflow port recv-bytes "
        "send-bytes threads trusted-proxy trusted-proxy-count trusted-proxy-headers unix-socket "
        "unix-socket-perms url-prefix url-scheme"
    ),
    "flask": (
        "app cert debug debugger env-file exclude-patterns extra-files host key port reload with-threads "
        "without-threads"
    ),
    "django": ("force-color ipv6 no-color noreload nothreading pythonpath settings skip-checks verbosity"),
    "uwsgi": (
        "async buffer-size callable chdir cheaper check-static chmod-socket daemonize die-on-term "
        "disable-logging enable-threads gevent gevent-monkey-patch gid harakiri home http http-keepalive "
        "http-socket http-timeout http11-socket lazy-apps limit-post listen log-format logto "
        "manage-script-name master max-requests max-worker-lifetime module mount need-app no-orphans "
        "offload-threads pidfile post-buffering processes procname py-autoreload pythonpath reload-mercy "
        "reload-on-as reload-on-rss single-interpreter socket socket-timeout static-map stats stats-server "
        "strict threads thunder-lock touch-reload uid umask uwsgi-socket vacuum venv virtualenv "
        "worker-reload-mercy workers wsgi wsgi-file"
    ),
}

# They pass for ours, or mean something that only their server has.
_NOT_TOLD = {"config", "print-config", "check-config"}


def _flags() -> set[str]:
    own = {flag for entry in SETTINGS.values() for flag in (entry.flag, *entry.aliases)}
    own |= {f"--no-{entry.flag[2:]}" for entry in SETTINGS.values() if not entry.kind.metavar}
    return {flag.lstrip("-").replace("_", "-") for flag in own}


@pytest.mark.parametrize("server", _FLAGS)
def test_every_flag_of_theirs_is_known_here_or_explained(server: str) -> None:
    theirs = {name.replace("_", "-") for name in _FLAGS[server].split()} - _NOT_TOLD
    assert [name for name in sorted(theirs - _flags()) if advice(name, str) is None] == []


def test_what_is_a_setting_of_ours_is_not_foreign() -> None:
    assert sorted(_flags() & set(FOREIGN)) == []


def test_each_name_stands_once() -> None:
    names = [name for names, _ in _TABLE for name in names.split()]
    assert len(names) == len(set(names))
    assert [name for name in names if "_" in name or (len(name) > 1 and name != name.lower())] == []


@pytest.mark.parametrize("sentence", [sentence for _, sentence in _TABLE])
def test_a_sentence_names_settings_that_there_are(sentence: str) -> None:
    assert set(re.findall(r"\{(\w+)\}", sentence)) <= set(SETTINGS)
    # And no flag by its spelling, which only a command line has.
    assert not re.search(r"--(?!user|env-file)", sentence)


def test_names_are_spelled_as_their_reader_would() -> None:
    assert advice("uds", lambda name: SETTINGS[name].flag) == "--bind takes unix:PATH"
    assert advice("unix_socket", lambda name: SETTINGS[name].env) == "GREENSERVE_BIND takes unix:PATH"
    assert advice("UDS", str) == "bind takes unix:PATH"
    assert advice("no-access-log", str) == advice("access_log", str)


def test_short_flags_have_their_case() -> None:
    assert advice("d", str) is not None
    assert advice("H", str) is not None
    assert advice("h", str) is None


def test_a_name_of_nobodys() -> None:
    assert advice("pool", str) is None
    assert advice("", str) is None
    assert advice("nonsense", str) is None


def test_a_keyword_is_told_of_too() -> None:
    with pytest.raises(
        ConfigError, match=r"^unknown setting processes \(keyword\): workers sets the number of processes"
    ):
        Config.from_settings({}, processes=4)
    with pytest.raises(ConfigError, match=r"^unknown setting timeout \(keyword\): request_timeout ends one"):
        Config.from_settings({}, timeout=4)
