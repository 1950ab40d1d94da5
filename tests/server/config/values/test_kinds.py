"""config.kinds: how each kind reads, prints and explains its values."""

import ssl
from pathlib import Path

import pytest

from greenserve.config.values import kinds, log_kinds
from greenserve.config.values.kinds import Kind


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (kinds.duration(off="x"), "5m", 300.0),
        (kinds.size(off="x"), "off", 0),
        (kinds.size(least=16), "16", 16),
        (kinds.count(), "8", 8),
        (kinds.boolean(), "on", True),
        (kinds.mode(), "600", 0o600),
        (kinds.choice("poll", "select"), " Poll ", "poll"),
        (kinds.binds(), ":80", ("0.0.0.0:80",)),
        (kinds.binds(), ":80,unix:/x", ("0.0.0.0:80", "unix:/x")),
        (kinds.binds(), [":80", "fd://3"], ("0.0.0.0:80", "fd://3")),
        (kinds.binds(), [":0", ":0"], ("0.0.0.0:0", "0.0.0.0:0")),
        (kinds.binds(least=0), "", ()),
        (kinds.binds(least=0), [], ()),
        (kinds.files(), "/a.pem,/b.pem", ("/a.pem", "/b.pem")),
        (kinds.files(), [Path("/a.pem"), "b,c.pem"], ("/a.pem", "b,c.pem")),
        (kinds.files(), Path("/a.pem"), ("/a.pem",)),
        (kinds.files(), "", ()),
        (kinds.file(), Path("/a.pem"), "/a.pem"),
        (kinds.text(), " ECDHE ", "ECDHE"),
        (kinds.client_cert(), "Required", "required"),
        (kinds.client_cert(), ssl.CERT_OPTIONAL, "optional"),
        (kinds.client_cert(), "2", "required"),
        (kinds.tls_version(), 1.3, "1.3"),
        (kinds.backdoor(), " localhost:1", "localhost:1"),
        (kinds.backdoor(), None, "off"),
        (kinds.backdoor(), False, "off"),
        (kinds.folder(), Path("/srv"), "/srv"),
        (kinds.workers(), "4", 4),
        (kinds.workers(), " Auto ", 0),
        (kinds.fraction(), "10%", 0.1),
        (kinds.fraction(), "0.125", 0.125),
        (kinds.fraction(), 1, 1.0),
        (kinds.fraction(), "0", 0.0),
        (kinds.account(), "www-data", "www-data"),
        (kinds.account(), 1000, "1000"),
        (kinds.account(), "", ""),
        (kinds.umask(), "027", "0027"),
        (kinds.umask(), "22", "0022"),
        (kinds.umask(), "0", "0000"),
        (kinds.umask(), "", ""),
        (kinds.variables(), "A=1", ("A=1",)),
        (kinds.variables(), "A=1,2", ("A=1,2",)),
        (kinds.variables(), ["A=1,2", "B="], ("A=1,2", "B=")),
        (kinds.variables(), {"A": "x=y"}, ("A=x=y",)),
        (kinds.variables(), "", ()),
        (log_kinds.log_file("stdout", off=True), "-", "-"),
        (log_kinds.log_file("stdout", off=True), "OFF", "off"),
        (log_kinds.log_file("stdout", off=True), None, "off"),
        (log_kinds.log_file("stdout", off=True), Path("/x.log"), "/x.log"),
        (log_kinds.log_format(), "%h %s", "%h %s"),
        (log_kinds.log_format(), "json", "json"),
        (log_kinds.paths(), "/healthz,/static/*", ("/healthz", "/static/*")),
        (log_kinds.paths(), ["/a%20b", "/a%20b", "/*"], ("/a%20b", "/*")),
        (log_kinds.paths(), "", ()),
        (log_kinds.field_name(), "X-Request-ID", "X-Request-ID"),
        (log_kinds.field_name(), "off", ""),
    ],
)
def test_a_value_is_read_and_reads_to_itself(kind: Kind, given: object, value: object) -> None:
    assert kind.parse(given) == value
    assert kind.parse(value) == value
    if not isinstance(value, tuple) or not any("," in item for item in value):  # a list is no text then
        assert kind.parse(kind.format(value)) == value


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        (kinds.size(least=16), "15", "too small"),
        (kinds.size(least=16), "off", "can't be switched off"),
        (kinds.count(), "0", "too small"),
        (kinds.choice("poll", "select"), "epoll", "unknown"),
        (kinds.choice("poll", "select"), 1, "unknown"),
        (kinds.binds(), [], "no address"),
        (kinds.binds(), "", "port is missing"),
        (kinds.binds(), [8000], "8000 is not an address"),
        (kinds.binds(), 8000, "not an address"),
        (kinds.binds(), b":80", "not an address"),
        (kinds.binds(), [":80", "*:80"], "0.0.0.0:80 is given twice"),
        (kinds.binds(), ["unix:/x", "unix:/x"], "given twice"),
        (kinds.files(), [""], "an empty path"),
        (kinds.files(), 3, "not a path"),
        (kinds.files(), b"/x", "not a path"),
        (kinds.files(), "a\0b", "NUL"),
        (kinds.text(), "", "not a line"),
        (kinds.text(), "a\nb", "not a line"),
        (kinds.client_cert(), "3", "unknown"),
        (kinds.client_cert(), None, "unknown"),
        (kinds.tls_version(), 1.1, "unknown"),
        (kinds.tls_version(), "tls1.2", "unknown"),
        (kinds.backdoor(), "3000", "did you mean 127.0.0.1:3000"),
        (kinds.backdoor(), 3000, "not an address"),
        (kinds.folder(), "a\0b", "NUL"),
        (kinds.folder(), 3, "not a path"),
        (kinds.workers(), "-1", "whole number"),
        (kinds.workers(), "many", "whole number"),
        (kinds.fraction(), "110%", "not between 0 and 1"),
        (kinds.fraction(), -0.1, "not between 0 and 1"),
        (kinds.fraction(), "a lot", "not a part"),
        (kinds.fraction(), True, "not a part"),
        (kinds.fraction(), float("nan"), "not between 0 and 1"),
        (kinds.account(), "a b", "not a name or number"),
        (kinds.account(), "a:b", "not a name or number"),
        (kinds.account(), True, "not a name or number"),
        (kinds.account(), -1, "not between"),
        (kinds.umask(), "888", "not an octal mode"),
        (kinds.umask(), "rwx", "not an octal mode"),
        (kinds.variables(), "A", "'A' is not NAME=VALUE"),
        (kinds.variables(), ["=x"], "is not NAME=VALUE"),
        (kinds.variables(), ["A=\0"], "is not NAME=VALUE"),
        (kinds.variables(), 5, "not NAME=VALUE"),
        (log_kinds.log_file("stderr", off=False), "off", "can't be switched off"),
        (log_kinds.log_file("stderr", off=False), "", "empty"),
        (log_kinds.field_name(), "X_Request_ID", "not the name of a field"),
        (log_kinds.field_name(), "Content-Length", "another meaning"),
        (log_kinds.field_name(), "a b", "not the name of a field"),
        (log_kinds.field_name(), 5, "not the name of a field"),
        (log_kinds.paths(), "healthz", "begins with a slash"),
        (log_kinds.paths(), "/a,", "begins with a slash"),
        (log_kinds.paths(), "/a/*/b", "at the end only"),
        (log_kinds.paths(), "/a?b", "without query"),
        (log_kinds.paths(), "/é", "percent-encoded"),
        (log_kinds.paths(), 5, "not a path"),
        (log_kinds.log_format(), "combind", "no atom"),
        (log_kinds.log_format(), "%Z", "%Z is not known"),
        (log_kinds.log_format(), 5, "not a format"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason(kind: Kind, given: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind.parse(given)


def test_the_words_say_what_is_allowed() -> None:
    assert kinds.choice("a", "b", "c").allowed == "a, b or c"
    assert "at least 16" in kinds.size(least=16).allowed
    assert "off: no end" in kinds.duration(off="no end").allowed
    assert log_kinds.log_file("stderr", off=False).allowed == (
        "a path, - (stderr), syslog:, syslog:HOST:PORT, journald or logging"
    )
