"""The head of a request: bytes in, one RequestHead out, or a ProtocolError that says which rule was broken.

Sans-IO. The connection feeds a HeadReader what it receives; a head that comes whole costs one pass through
llhttp (the grammar, in
C), a slow one is fed piece by piece and found wrong at its first wrong byte. What llhttp lets pass and a
server on
the open Internet must not is refused here.

Invariant: the parser never sees a byte behind the head. It has no pause, so what a pipelining client sends
ahead stays raw
bytes, and memory is bounded by what one read returns.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from greenserve.errors import LimitExceeded, ProtocolError

_HEAD_END: Final = b"\r\n\r\n"
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_VERSION: Final = re.compile(rb" HTTP/(\d\.\d)\r\n")
_AUTHORITY: Final = re.compile(rb"([^/?#@]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]]+)(:\d*)?")
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\"<>\\^`{|}]*)(:\d{0,5})?")
_NEED_LENGTH: Final = ("POST", "PUT", "PATCH")

# What a field means for framing; every other name means nothing here.
_HOST_FIELD, _LENGTH, _CODING, _EXPECT, _CONNECTION = range(1, 6)
_MEANINGS: Final = {
    b"host": _HOST_FIELD,
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"expect": _EXPECT,
    b"connection": _CONNECTION,
}
_CACHE_SIZE: Final = 1024  # spellings of field names that are remembered; clients use a few dozen
_meanings: dict[bytes, int] = {}
_methods: dict[bytes, str] = {}


class HeadLimits(NamedTuple):
    """What a head may cost, in bytes and, for `fields`, in number (settings `limit_request_*`)."""

    line: int
    field_size: int
    fields: int
    head: int


class RequestHead:
    """A request without its body. Text is latin-1, as PEP 3333 has it."""

    __slots__ = (
        "chunked",
        "content_length",
        "expect_continue",
        "host",
        "http11",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_fields",
        "target",
    )

    method: str
    target: str  # as it was sent
    path: str  # percent-decoded, never empty but for "*"
    query: str  # without "?", as it was sent
    http11: bool  # else HTTP/1.0
    keep_alive: bool
    expect_continue: bool
    content_length: int | None
    chunked: bool
    host: str | None  # the authority asked for: from an absolute target, else the Host field
    raw_fields: list[tuple[bytes, bytes]]

    @property
    def has_body(self) -> bool:
        """Whether body bytes may follow (RFC 9112 §6.3)."""
        return self.chunked or bool(self.content_length)


class HeadReader:
    """Reads one head. Make a new one for each request: that costs a quarter of a microsecond."""

    __slots__ = (
        "_coding",
        "_connection",
        "_expect",
        "_fields",
        "_host",
        "_hosts",
        "_length",
        "_limits",
        "_parser",
        "_raw",
        "_url",
        "head",
    )

    def __init__(self, limits: HeadLimits) -> None:
        """Nothing read yet."""
        self._limits = limits
        self._parser: HttpRequestParser | None = None
        self._raw: bytes | bytearray = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._url = b""
        self._hosts = 0
        self._host: bytes | None = None
        self._length: bytes | None = None
        self._coding: bytes | None = None
        self._expect = b""
        self._connection = b""
        self.head: RequestHead | None = None

    # llhttp's callbacks ---------------------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        """Take (a piece of) the request target; for the parser only."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field; for the parser only."""
        value = value.rstrip(b" \t")
        self._fields.append((name, value))
        meaning = _meanings.get(name)
        if meaning is None:
            meaning = _remember(name)
        if meaning:
            self._take(meaning, value)

    def _take(self, meaning: int, value: bytes) -> None:
        if meaning == _HOST_FIELD:
            self._hosts += 1
            self._host = value
        elif meaning == _LENGTH:
            if self._length is not None:
                raise ProtocolError(400, "more than one Content-Length (RFC 9112 §6.3)")
            self._length = value
        elif meaning == _CODING:
            # A second field extends the list of codings (RFC 9110 §5.3), and a list is more than `chunked`.
            self._coding = value if self._coding is None else self._coding + b", " + value
        elif meaning == _EXPECT:
            self._expect += value
        else:
            self._connection += b"," + value

    # Bytes in ------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether any byte of a head has come; empty lines before it don't count (RFC 9112 §2.2)."""
        return self._parser is not None

    def feed(self, data: bytes) -> bytes | None:
        """Take what was received.

        Returns what follows the head, with `head` set, or None when more is needed.

        Raises ProtocolError, after which the connection is of no more use.
        """
        if self._parser is None:
            if data[:1] in (b"\r", b"\n"):
                data = data.lstrip(b"\r\n")
                if not data:
                    return None
            self._parser = HttpRequestParser(self)
            end = data.find(_HEAD_END)
            if end < 0:
                self._check_unfinished(data)
                self._raw = bytearray(data)
                self._parse(data)
                return None
            end += 4
            if end == len(data):
                self._raw = data
                self._parse(data)
                self._finish(data)
                return b""
            self._raw = data[:end]
            self._parse(self._raw)
            self._finish(self._raw)
            return data[end:]
        known = len(self._raw)
        raw = self._raw
        assert isinstance(raw, bytearray)  # since the first piece
        raw += data
        end = raw.find(_HEAD_END, max(0, known - 3))
        if end < 0:
            self._check_unfinished(raw)
            self._parse(data)
            return None
        end += 4
        rest = bytes(raw[end:])
        del raw[end:]
        self._parse(raw[known:])
        self._finish(raw)
        return rest

    def _check_unfinished(self, raw: bytes | bytearray) -> None:
        limits = self._limits
        if len(raw) > limits.head:
            self._check_line(raw)
            raise LimitExceeded(431, f"head longer than {limits.head} bytes (limit_request_head)")
        if len(raw) > limits.line + 1:  # its CRLF does not count
            self._check_line(raw)

    def _check_line(self, raw: bytes | bytearray) -> None:
        if not 0 <= raw.find(b"\n") <= self._limits.line + 1:
            raise LimitExceeded(
                414, f"request line longer than {self._limits.line} bytes (limit_request_line)"
            )

    def _parse(self, data: bytes | bytearray) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # llhttp's word for: the head is over, another protocol may follow. That is for the app to say.
        except HttpParserError as error:
            raise self._explain(error) from None

    def _explain(self, error: HttpParserError) -> ProtocolError:
        cause = error.__context__
        if isinstance(cause, ProtocolError):
            return cause
        line = self._raw.split(b"\r\n", 1)[0]
        if isinstance(error, HttpParserInvalidMethodError):
            word, space, _ = line.partition(b" ")
            if space and _TOKEN.fullmatch(word):
                return ProtocolError(501, "method not implemented (RFC 9110 §9.1)")
            return ProtocolError(400, "not an HTTP request line (RFC 9112 §3)")
        version = _VERSION.search(self._raw)
        if version and version[1] not in (b"1.0", b"1.1") and line.count(b" ") == 2:
            return ProtocolError(505, "HTTP version not supported (RFC 9110 §15.6.6)")
        text = str(error)
        if "Transfer-Encoding" in text:
            if "Content-Length" in text:
                return ProtocolError(400, "Content-Length with Transfer-Encoding (RFC 9112 §6.1)")
            if self._coding is not None:
                return _coding_error(self._coding)
        return ProtocolError(400, f"{text} (RFC 9112 §3, §5)")

    # The whole head --------------------------------------------------------------------------------

    def _finish(self, raw: bytes | bytearray) -> None:
        limits = self._limits
        fields = self._fields
        if len(fields) > limits.fields or len(raw) > limits.line or len(raw) > limits.field_size:
            self._check_limits(raw)
        parser = self._parser
        assert parser is not None
        head = RequestHead()
        version = parser.get_http_version()
        if version == "1.1":
            head.http11 = True
        elif version == "1.0":
            head.http11 = False
        else:
            raise ProtocolError(505, "HTTP version not supported (RFC 9110 §15.6.6)")
        method = parser.get_method()
        url = self._url
        # llhttp skips any run of spaces in the line; the grammar has exactly one (RFC 9112 §3).
        if not raw.startswith(b"%b %b HTTP/1" % (method, url)):
            raise ProtocolError(400, "malformed request line (RFC 9112 §3)")
        known = _methods.get(method)
        if known is None:
            known = _methods[method] = method.decode("ascii")  # llhttp knows some forty
        head.method = known
        head.raw_fields = fields
        # llhttp's own answer is of no use by now: the end of a request without a body has reset it.
        head.keep_alive = _stays_open(self._connection, head.http11) if self._connection else head.http11
        self._set_host(head)
        _set_target(head, url)
        self._set_body(head)
        self.head = head
        self._parser = None
        self._raw = b""

    def _check_limits(self, raw: bytes | bytearray) -> None:
        limits = self._limits
        if len(raw) > limits.line:
            self._check_line(raw)
        if len(raw) > limits.head:
            raise LimitExceeded(431, f"head longer than {limits.head} bytes (limit_request_head)")
        if len(self._fields) > limits.fields:
            raise LimitExceeded(431, f"more than {limits.fields} fields (limit_request_fields)")
        for name, value in self._fields:
            if len(name) + len(value) > limits.field_size:
                raise LimitExceeded(
                    431, f"field longer than {limits.field_size} bytes (limit_request_field_size)"
                )

    def _set_host(self, head: RequestHead) -> None:
        if self._hosts != 1 and (head.http11 or self._hosts):
            raise ProtocolError(400, "exactly one Host field is required (RFC 9112 §3.2)")
        host = self._host
        if host is None:
            head.host = None
        elif _HOST.fullmatch(host):
            head.host = host.decode("latin-1")
        else:
            raise ProtocolError(400, "malformed Host field (RFC 9112 §3.2)")

    def _set_body(self, head: RequestHead) -> None:
        """RFC 9112 §6.3: whether a body follows, and how it ends."""
        length = self._length
        head.chunked = False
        head.content_length = None
        head.expect_continue = False
        if self._coding is not None:
            self._set_coding(head, self._coding)
        elif length is not None:
            if not length.isdigit() or len(length) > 18:
                raise ProtocolError(400, "malformed Content-Length (RFC 9110 §8.6)")
            head.content_length = int(length)
        elif not head.http11 and head.method in _NEED_LENGTH:
            raise ProtocolError(411, "an HTTP/1.0 request with a body needs Content-Length (RFC 1945 §7.2.2)")
        if self._expect and head.http11:  # HTTP/1.0 has no Expect (RFC 9110 §10.1.1)
            if self._expect.lower() != b"100-continue":
                raise ProtocolError(417, "only Expect: 100-continue is known (RFC 9110 §10.1.1)")
            head.expect_continue = head.chunked or bool(head.content_length)

    def _set_coding(self, head: RequestHead, coding: bytes) -> None:
        if not head.http11:
            raise ProtocolError(400, "Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)")
        if self._length is not None:
            raise ProtocolError(400, "Content-Length with Transfer-Encoding (RFC 9112 §6.1)")
        if coding.lower() != b"chunked":
            raise _coding_error(coding)
        head.chunked = True


def _stays_open(connection: bytes, http11: bool) -> bool:
    """RFC 9112 §9.3: what the options of the Connection field say."""
    options = {option.strip(b" \t").lower() for option in connection.split(b",")}
    return b"close" not in options and (http11 or b"keep-alive" in options)


def _coding_error(coding: bytes) -> ProtocolError:
    names = [part.strip(b" \t").lower() for part in coding.split(b",")]
    if names.count(b"chunked") > 1 or (b"chunked" in names and names[-1] != b"chunked"):
        return ProtocolError(400, "chunked must be the last coding, once (RFC 9112 §6.1)")
    return ProtocolError(501, "only the transfer coding chunked is implemented (RFC 9112 §6.1)")


def _remember(name: bytes) -> int:
    meaning = _MEANINGS.get(name.lower(), 0)
    if len(_meanings) < _CACHE_SIZE:
        _meanings[name] = meaning
    return meaning


def _set_target(head: RequestHead, url: bytes) -> None:
    """RFC 9112 §3.2: the four forms of a request target."""
    head.target = url.decode("latin-1")
    if url[:1] == b"/":
        path = url
    elif head.method == "CONNECT":
        raise ProtocolError(501, "CONNECT is for proxies (RFC 9110 §9.3.6)")
    elif url == b"*" and head.method == "OPTIONS":
        path = url
    else:
        scheme, found, rest = url.partition(b"://")
        authority = _AUTHORITY.match(rest)
        if not found or scheme.lower() not in (b"http", b"https") or authority is None or authority[1]:
            raise ProtocolError(400, "malformed request target (RFC 9112 §3.2)")
        path = rest[authority.end() :]
        if path[:1] not in (b"/", b"?", b""):
            raise ProtocolError(400, "malformed request target (RFC 9112 §3.2)")
        # The target's authority takes the place of the Host field (RFC 9112 §3.2.2).
        head.host = authority[0].decode("latin-1")
    if b"#" in path:
        raise ProtocolError(400, "fragment in the request target (RFC 9112 §3.2)")
    path, _, query = path.partition(b"?")
    head.query = query.decode("latin-1")
    if b"%" in path:
        path = unquote_to_bytes(path)
    head.path = path.decode("latin-1") or "/"
