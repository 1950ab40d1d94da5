"""The head of a request, taken apart: method, target, fields, and whether a body follows.

Sans-IO. head_reader.py has llhttp check the grammar first, so this text consists of whole lines, each with a token, a
colon and a value. Requests that llhttp accepts and a server on the open Internet must not are refused here;
targets.py checks the request target.
"""

from __future__ import annotations

import re
from typing import Any, Final

from greenserve.caches import remember
from greenserve.errors import LimitExceeded, ProtocolError
from greenserve.http1.targets import check_authority, split_target

_NEED_LENGTH: Final = ("POST", "PUT", "PATCH")

# The fields that framing, routing and queueing depend on; no other name matters here.
_HOST_FIELD, _LENGTH, _CODING, _EXPECT, _CONNECTION, _START, _UNDERSCORE = range(1, 8)


class Meaning:
    """What a field means to the framing of a request, as numbers; meaning_of() tells it."""

    NONE = 0
    HOST = _HOST_FIELD
    LENGTH = _LENGTH
    CONNECTION = _CONNECTION


_MEANINGS: Final = {
    "host": _HOST_FIELD,
    "content-length": _LENGTH,
    "transfer-encoding": _CODING,
    "expect": _EXPECT,
    "connection": _CONNECTION,
    "x-request-start": _START,
    "x-queue-start": _START,
}
_LONGEST_KEPT: Final = 64  # characters of a name or a host that is remembered
_meanings: dict[str, int] = {}
_good_hosts: dict[str, None] = {}
# A target in origin-form that llhttp accepts is valid as it stands without these. A line feed is among them because
# llhttp takes it for the end of an HTTP/0.9 line and reads the next line as a field.
_is_plain: Final = re.compile(r'/[^"#%<>\\`{}\r\n]*').fullmatch


class HeadLimits:
    """The limits of a head, in bytes; `fields` and `lines` are numbers (settings `limit_request_*`).

    `refuse_underscores`: a field name with an underscore is refused with 400 (setting `header_map`).
    `lenient`: requests of old clients are taken: HTTP/1.1 without Host, HTTP/1.0 with Transfer-Encoding, after which
    the connection closes (RFC 9112 §6.1), and HTTP/1.0 without a length where a body might be.
    `only_http10`: every request is treated as one of HTTP/1.0.
    """

    __slots__ = (
        "field_size",
        "fields",
        "head",
        "lenient",
        "line",
        "lines",
        "only_http10",
        "refuse_underscores",
        "shortest",
    )

    def __init__(
        self,
        line: int,
        field_size: int,
        fields: int,
        head: int,
        refuse_underscores: bool = False,
        *,
        lenient: bool = False,
        only_http10: bool = False,
    ) -> None:
        """A head of less than `shortest` bytes can't exceed any limit in bytes."""
        self.line = line
        self.field_size = field_size
        self.fields = fields
        self.head = head
        self.refuse_underscores = refuse_underscores
        self.lenient = lenient
        self.only_http10 = only_http10
        self.shortest = min(line, field_size)
        self.lines = fields + 3  # split at CRLF: the request line, and two empty ones at the end


class RequestHead:
    """A request without its body. All text is latin-1 (PEP 3333)."""

    # Slots and no defaults on the class: in CPython 3.11 reading such a default costs more than setting a slot.
    __slots__ = (
        "chunked",
        "content_length",
        "dropped",
        "environ",
        "expect_continue",
        "fields",
        "host",
        "http11",
        "keep_alive",
        "method",
        "path",
        "query",
        "target",
        "tells_start",
    )

    def __init__(
        self,
        method: str,
        target: str,
        path: str,
        query: str,
        http11: bool,
        host: str | None,
        fields: list[tuple[str, str]],
    ) -> None:
        """A request without a body; _set_framing says otherwise."""
        self.method = method
        self.target = target  # as it was sent
        self.path = path  # percent-decoded; empty for "*", which is not a path
        self.query = query  # without "?", as it was sent
        self.http11 = http11  # else HTTP/1.0
        self.host = host  # the requested authority: of an absolute target, else of the Host field
        self.fields = fields
        self.keep_alive = http11
        self.expect_continue = False
        self.content_length: int | None = None
        self.chunked = False
        # Of a head that the compiled core took (wsgi/environ/ordinary.py): its environ, until make_environ() has it,
        # and the fields that have no key there.
        self.environ: dict[str, Any] | None = None
        self.dropped: list[tuple[str, str]] | None = None
        self.tells_start = (
            False  # a proxy tells, or a client says, when the request came to it (X-Request-Start)
        )

    @property
    def has_body(self) -> bool:
        """Return True if body bytes may follow (RFC 9112 §6.3)."""
        return self.chunked or bool(self.content_length)


def make_head(text: str, limits: HeadLimits) -> RequestHead:  # noqa: C901  # one pass, on the path of every request
    """Take apart a whole head whose grammar was checked. Raises ProtocolError."""
    lines = text.split("\r\n")  # the last two are empty
    if len(text) > limits.shortest or len(lines) > limits.lines:
        _check_limits(text, lines, limits)
    try:
        # llhttp accepts several spaces in the line; the grammar has exactly one (RFC 9112 §3).
        method, target, version = lines[0].split(" ")
    except ValueError:
        raise ProtocolError(400, "malformed request line (RFC 9112 §3)") from None
    http11 = version == "HTTP/1.1"
    if not http11 and version != "HTTP/1.0":
        raise ProtocolError(505, "HTTP version not supported (RFC 9110 §15.6.6)")
    if limits.only_http10:
        http11 = False
    fields: list[tuple[str, str]] = []
    host: str | None = None
    framing: list[tuple[int, str]] | None = None
    for line in lines[1:-2]:
        name, _, value = line.partition(":")
        value = value.strip(" \t")
        fields.append((name, value))
        try:
            meaning = _meanings[name]
        except KeyError:
            meaning = _find_meaning(name)
        if meaning:
            if meaning != _HOST_FIELD:
                framing = framing or []
                framing.append((meaning, value))
            elif host is None:
                host = value
            else:
                raise _host_error()
    if host is not None:
        if host not in _good_hosts:
            _check_host(host)
    elif http11 and not limits.lenient:
        raise _host_error()
    if _is_plain(target) and method != "CONNECT":
        path, _, query = target.partition("?")
    else:
        path, query, host = split_target(method, target, host)
    head = RequestHead(method, target, path, query, http11, host, fields)
    if framing:
        _set_framing(head, framing, limits)
    elif not http11 and not limits.lenient:
        _check_has_length(head)
    return head


def _check_limits(text: str, lines: list[str], limits: HeadLimits) -> None:
    if len(lines[0]) > limits.line:
        raise LimitExceeded(414, f"request line longer than {limits.line} bytes (limit_request_line)")
    if len(text) > limits.head:
        raise LimitExceeded(431, f"head longer than {limits.head} bytes (limit_request_head)")
    if len(lines) - 3 > limits.fields:
        raise LimitExceeded(431, f"more than {limits.fields} fields (limit_request_fields)")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if len(name) + len(value.strip(" \t")) > limits.field_size:
            raise LimitExceeded(
                431, f"field longer than {limits.field_size} bytes (limit_request_field_size)"
            )


def _find_meaning(name: str) -> int:
    meaning = _MEANINGS.get(name.lower(), _UNDERSCORE if "_" in name else 0)
    if len(name) <= _LONGEST_KEPT:
        remember(_meanings, name, meaning)
    return meaning


def meaning_of(name: str) -> int:
    """What a field of this name means; see Meaning."""
    return _find_meaning(name) if (meaning := _meanings.get(name)) is None else meaning


def fields_of(raw: bytes, limits: HeadLimits) -> list[tuple[str, str]]:
    """The fields of a head that is known to be valid."""
    return make_head(raw.decode("latin-1"), limits).fields


def _host_error() -> ProtocolError:
    return ProtocolError(400, "exactly one Host field is required (RFC 9112 §3.2)")


def _check_host(host: str) -> None:
    check_authority(host, "Host field")
    if len(host) <= _LONGEST_KEPT:
        remember(_good_hosts, host, None)


def _set_framing(  # noqa: C901  # one pass, on the path of many requests
    head: RequestHead, framing: list[tuple[int, str]], limits: HeadLimits
) -> None:
    """Set whether a body follows and how it ends (RFC 9112 §6.3), Expect, and whether the connection stays open."""
    lengths: list[str] = []
    codings: list[str] = []
    expect = ""
    connection = ""
    for meaning, value in framing:
        if meaning == _CONNECTION:
            connection = f"{connection},{value}" if connection else value
        elif meaning == _LENGTH:
            lengths.append(value)
        elif meaning == _CODING:
            codings.append(value)
        elif meaning == _EXPECT:
            expect += value
        elif meaning == _START:
            head.tells_start = True
        elif limits.refuse_underscores:
            raise ProtocolError(400, "underscore in a field name: send a hyphen (header_map is refuse)")
    if codings:
        # A second field extends the list of codings (RFC 9110 §5.3), and a list is more than `chunked`.
        _set_coding(head, ", ".join(codings), bool(lengths), limits.lenient)
    elif lengths:
        _set_length(head, lengths)
    elif not head.http11 and not limits.lenient:
        _check_has_length(head)
    if expect and head.http11:  # HTTP/1.0 has no Expect (RFC 9110 §10.1.1)
        if expect.lower() != "100-continue":
            raise ProtocolError(417, "only Expect: 100-continue is known (RFC 9110 §10.1.1)")
        head.expect_continue = head.has_body
    if connection and not (connection == "keep-alive" and head.http11):  # what most browsers send
        # RFC 9112 §9.3. llhttp resets its own keep-alive flag at the end of a request without a body.
        options = {option.strip(" \t").lower() for option in connection.split(",")}
        head.keep_alive = "close" not in options and (head.http11 or "keep-alive" in options)
    if not head.http11 and (codings or (expect and limits.lenient)):
        head.keep_alive = (
            False  # an intermediary may have seen another end; the client may send a body or not
        )


def _set_length(head: RequestHead, lengths: list[str]) -> None:
    if len(lengths) > 1:
        raise ProtocolError(400, "more than one Content-Length (RFC 9112 §6.3)")
    length = lengths[0]
    if not (length.isascii() and length.isdigit()) or len(length) > 18:
        raise ProtocolError(400, "malformed Content-Length (RFC 9110 §8.6)")
    head.content_length = int(length)


def _set_coding(head: RequestHead, coding: str, with_length: bool, lenient: bool) -> None:
    if not head.http11 and not lenient:
        raise ProtocolError(400, "Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)")
    if with_length:
        raise ProtocolError(400, "Content-Length with Transfer-Encoding (RFC 9112 §6.1)")
    if coding.lower() != "chunked":
        raise coding_error(coding)
    head.chunked = True


def _check_has_length(head: RequestHead) -> None:
    if head.method in _NEED_LENGTH:
        raise ProtocolError(411, "an HTTP/1.0 request with a body needs Content-Length (RFC 1945 §7.2.2)")


def coding_error(coding: str) -> ProtocolError:
    """The error for a Transfer-Encoding that is not just `chunked`."""
    names = [part.strip(" \t").lower() for part in coding.split(",")]
    if not any(names):
        return ProtocolError(400, "an empty Transfer-Encoding (RFC 9112 §6.1)")
    if names.count("chunked") > 1 or ("chunked" in names and names[-1] != "chunked"):
        return ProtocolError(400, "chunked must be the last coding, once (RFC 9112 §6.1)")
    return ProtocolError(501, "only the transfer coding chunked is implemented (RFC 9112 §6.1)")
