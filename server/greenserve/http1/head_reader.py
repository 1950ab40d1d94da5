"""Reads the head of a request: bytes in, one RequestHead out, or a ProtocolError that says which rule was broken.

Sans-IO. llhttp checks the grammar, in C and without a callback. Most heads come whole and cost one pass; one that comes
in pieces is checked piece by piece by a HeadReader, and refused at its first wrong byte. heads.py then takes the
checked text apart. A new parser for each head costs a seventh of a microsecond, and no state is left to go wrong.

Which methods there are is for the app to say (RFC 9110 §9.1), but llhttp has a list and refuses others. Where one is
not on it, llhttp is shown GET in its place: the rest of the grammar is the same. Lower case stays refused, as
frameworks write methods in upper case: a proxy that lets `get` pass and `GET` not would be got round.

Invariant: the parser never sees a byte behind the head. It has no pause, so what a pipelining client sends ahead
stays raw bytes, and memory is bounded by what one read returns.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from greenserve.errors import LimitExceeded, ProtocolError
from greenserve.grammar import TOKEN
from greenserve.http1.heads import HeadLimits, RequestHead, coding_error, make_head

_HEAD_END: Final = b"\r\n\r\n"
_EMPTY_LINES: Final = 4  # before a request; RFC 9112 §2.2 asks for one
_NO_CALLBACKS: Final = object()
_TOKEN: Final = re.compile(TOKEN.encode())
_LONGEST_METHOD: Final = 32  # bytes
_METHOD: Final = re.compile(rb"[A-Z][A-Z0-9_-]{0,%d}" % (_LONGEST_METHOD - 1))
_RESERVED: Final = b"PRI"  # no method, but how HTTP/2 begins (RFC 9113 §11.6)
_REQUEST_LINE: Final = re.compile(rb"[^ ]+ [^ ]+ [A-Z]+/[0-9]\.[0-9]\r\n")
_VERSION: Final = re.compile(rb" HTTP/(\d\.\d)(?:\r\n|\Z)")
_CODING: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r\n]*)", re.IGNORECASE)
_SPACE_BEHIND_CODING: Final = re.compile(
    rb"(\r\ntransfer-encoding:[ \t]*+chunked)[ \t]++(?=\r\n)", re.IGNORECASE
)


def read_whole_head(data: bytes, limits: HeadLimits) -> tuple[RequestHead, bytes] | None:
    """The head that `data` begins with, and what follows it; None when it is not all there: a HeadReader's work.

    Raises ProtocolError.
    """
    end = data.find(_HEAD_END) + 4
    if end < 4 or data[0] < 32:
        return None
    raw, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
    try:
        HttpRequestParser(_NO_CALLBACKS).feed_data(raw)
    except HttpParserUpgrade:
        pass  # llhttp's word for: the head is over, another protocol may follow. That is for the app to say.
    except HttpParserError:
        _check(HttpRequestParser(_NO_CALLBACKS), _shown(raw), raw)  # it may be in order all the same
    return make_head(raw.decode("latin-1"), limits), rest


class HeadReader:
    """Reads one head that comes in pieces."""

    def __init__(self, limits: HeadLimits) -> None:
        """Nothing read yet."""
        self._limits = limits
        self._parser: HttpRequestParser | None = None  # from the method's end on
        self._empty_lines = 0
        self._raw = bytearray()
        self.head: RequestHead | None = None

    @property
    def begun(self) -> bool:
        """Whether any byte of a head has come; empty lines before it don't count (RFC 9112 §2.2)."""
        return len(self._raw) > (self._raw[:1] == b"\r")

    def feed(self, data: bytes) -> bytes | None:
        """Take what was received; give what follows the head, with `head` set, or None when more is needed.

        Raises ProtocolError, after which the connection is of no more use.
        """
        raw = self._raw
        known = len(raw)
        raw += data
        if self._parser is None:
            self._skip_empty_lines(raw)
            known = 0
        end = raw.find(_HEAD_END, max(0, known - 3)) + 4
        if end < 4:
            self._check_grammar(raw, known, len(raw))  # first: a method too long is no target too long
            self._check_unfinished(raw)
            self._check_line(raw)
            return None
        rest = bytes(raw[end:])
        del raw[end:]
        self._check_grammar(raw, known, end)
        self.head = make_head(raw.decode("latin-1"), self._limits)
        return rest

    def _skip_empty_lines(self, raw: bytearray) -> None:
        while raw[:2] == b"\r\n":
            del raw[:2]
            self._empty_lines += 1
            if self._empty_lines > _EMPTY_LINES:
                raise ProtocolError(
                    400, f"more than {_EMPTY_LINES} empty lines before a request (RFC 9112 §2.2)"
                )

    def _check_unfinished(self, raw: bytes | bytearray) -> None:
        limits = self._limits
        # Its CRLF does not count.
        if len(raw) > limits.line + 1 and not 0 <= raw.find(b"\n") <= limits.line + 1:
            raise LimitExceeded(414, f"request line longer than {limits.line} bytes (limit_request_line)")
        if len(raw) > limits.head:
            raise LimitExceeded(431, f"head longer than {limits.head} bytes (limit_request_head)")

    def _check_line(self, raw: bytearray) -> None:
        # llhttp takes HTTP/0.9, where a line is all, and would look at the next line as at another request.
        end = raw.find(b"\n") + 1
        if end and not _REQUEST_LINE.fullmatch(raw, 0, end):
            raise ProtocolError(400, "malformed request line (RFC 9112 §3)")

    def _check_grammar(self, raw: bytearray, known: int, end: int) -> None:
        if self._parser is not None:
            _check(self._parser, raw[known:end], raw)
            return
        method, space, _ = bytes(raw).partition(b" ")
        # llhttp would skip any number of lone CR and LF.
        if (space or method not in (b"", b"\r")) and not _TOKEN.fullmatch(method):
            raise _not_http(raw)
        if len(method) > _LONGEST_METHOD:
            raise _unknown_method()
        if not space:
            return
        self._parser = HttpRequestParser(_NO_CALLBACKS)
        _check(self._parser, _shown(bytes(raw[:end])), raw)


def _check(parser: HttpRequestParser, shown: bytes | bytearray, raw: bytes | bytearray) -> None:
    """Have `parser` look at some more of `raw`. Raises ProtocolError, unless what it refuses is in order."""
    error = _feed(parser, shown)
    if error is None:
        return
    # Whitespace around a value is none of it (RFC 9110 §5.5), but behind `chunked` llhttp takes spaces only, no tab. It
    # says so at the head's end, so the whole head is here and is looked at once more, without it.
    text, count = _SPACE_BEHIND_CODING.subn(rb"\1", raw)
    if count and text.endswith(_HEAD_END):
        error = _feed(HttpRequestParser(_NO_CALLBACKS), _shown(text))
    if error is not None:
        raise _explain(error, text)


def _feed(parser: HttpRequestParser, shown: bytes | bytearray) -> HttpParserError | None:
    """What llhttp has against it, None if nothing."""
    try:
        parser.feed_data(shown)
    except HttpParserUpgrade:
        pass  # as above
    except HttpParserError as error:
        return error
    return None


def _shown(raw: bytes) -> bytes:
    """What llhttp is shown of a head: GET in place of a method that it does not know."""
    method = raw.partition(b" ")[0]
    return b"GET" + raw[len(method) :] if _is_unknown(method) else raw


def _is_unknown(method: bytes | bytearray) -> bool:
    """Whether llhttp would refuse this method, which may well be one, in a line that has nothing else wrong."""
    if not _METHOD.fullmatch(method) or method == _RESERVED:
        return False
    try:
        HttpRequestParser(_NO_CALLBACKS).feed_data(method + b" * HTTP/1.1\r\n")
    except HttpParserError:
        return True
    return False


def _explain(error: HttpParserError, raw: bytes) -> ProtocolError:
    line = raw.split(b"\r\n", 1)[0]
    word, space, _ = line.partition(b" ")
    version = _VERSION.search(raw)
    if version and version[1] not in (b"1.0", b"1.1") and line.count(b" ") == 2:
        return ProtocolError(505, "HTTP version not supported (RFC 9110 §15.6.6)")
    if isinstance(error, HttpParserInvalidMethodError) or word == _RESERVED:
        if space and _TOKEN.fullmatch(word):
            return _unknown_method()
        return _not_http(raw)
    text = str(error)
    if "Transfer-Encoding" in text:
        if "Content-Length" in text:
            return ProtocolError(400, "Content-Length with Transfer-Encoding (RFC 9112 §6.1)")
        codings = _CODING.findall(raw)
        if codings:
            return coding_error(b", ".join(codings).decode("latin-1"))
    return ProtocolError(400, f"{text} (RFC 9112 §3, §5)")


def _unknown_method() -> ProtocolError:
    return ProtocolError(
        501, f"method not implemented: up to {_LONGEST_METHOD} of A-Z, 0-9, - and _ (RFC 9110 §9.1)"
    )


def _not_http(raw: bytes | bytearray) -> ProtocolError:
    if raw[:2] == b"\x16\x03":  # RFC 8446 §5.1: how every TLS client begins
        return ProtocolError(400, "this port speaks plain HTTP, not TLS: use http://")
    return ProtocolError(400, "not an HTTP request line (RFC 9112 §3)")
