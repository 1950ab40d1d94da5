"""Reads the head of a request: bytes in, one RequestHead out, or a ProtocolError that names the broken rule.

Sans-IO. llhttp checks the grammar, in C and without a callback. Most heads arrive whole and are read in one pass. A
HeadReader checks a head that arrives in pieces, piece by piece, and refuses it at the first wrong byte. heads.py then
takes the checked text apart. A new parser for each head costs a seventh of a microsecond and leaves no state behind.

The app decides which methods exist (RFC 9110 §9.1), but llhttp refuses methods that are not on its list. For these,
llhttp is shown GET instead: the rest of the grammar is the same. Lower case is refused, since many frameworks turn
methods into upper case: a client could then bypass a proxy that blocks `GET` and lets `get` pass.

Invariant: the parser never sees a byte behind the head. It cannot pause, so the bytes that a pipelining client sends
ahead stay raw, and memory is bounded by the size of one read.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from greenserve.errors import LimitExceeded, ProtocolError
from greenserve.grammar import TOKEN
from greenserve.http1.heads import HeadLimits, RequestHead, coding_error, make_head

_HEAD_END: Final = b"\r\n\r\n"
_EMPTY_LINES: Final = 4  # allowed before a request; RFC 9112 §2.2 asks for one
_NO_CALLBACKS: Final = object()
_TOKEN: Final = re.compile(TOKEN.encode())
_LONGEST_METHOD: Final = 32  # bytes
_METHOD: Final = re.compile(rb"[A-Z][A-Z0-9_-]{0,%d}" % (_LONGEST_METHOD - 1))
_RESERVED: Final = b"PRI"  # not a method: HTTP/2 begins with it (RFC 9113 §11.6)
_REQUEST_LINE: Final = re.compile(rb"[^ ]+ [^ ]+ [A-Z]+/[0-9]\.[0-9]\r\n")
_VERSION: Final = re.compile(rb" HTTP/(\d\.\d)(?:\r\n|\Z)")
_CODING: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r\n]*)", re.IGNORECASE)
_SPACE_BEHIND_CODING: Final = re.compile(
    rb"(\r\ntransfer-encoding:[ \t]*+chunked)[ \t]++(?=\r\n)", re.IGNORECASE
)


def read_whole_head(data: bytes, limits: HeadLimits) -> tuple[RequestHead, bytes] | None:
    """Read the head at the beginning of `data`. Return it and the bytes behind it, or None if a HeadReader is needed.

    A HeadReader is needed if the head is not all there, or if empty lines come before it. Raises ProtocolError.
    """
    end = data.find(_HEAD_END) + 4
    if end < 4 or data[0] < 32:
        return None
    if end == len(data):
        raw = data
        rest = b""
    else:
        raw = data[:end]
        rest = data[end:]
    try:
        HttpRequestParser(_NO_CALLBACKS).feed_data(raw)
    except HttpParserUpgrade:
        pass  # the head is complete and asks for another protocol; the app decides about that
    except HttpParserError:
        _check(HttpRequestParser(_NO_CALLBACKS), _shown(raw), raw)  # the head may still be valid
    return make_head(raw.decode("latin-1"), limits), rest


class HeadReader:
    """Reads one head that arrives in pieces."""

    def __init__(self, limits: HeadLimits) -> None:
        """Start with nothing read."""
        self._limits = limits
        self._parser: HttpRequestParser | None = None  # made when the method is complete
        self._empty_lines = 0
        self._raw = bytearray()
        self.head: RequestHead | None = None

    @property
    def begun(self) -> bool:
        """Return True if any byte of a head has come; empty lines before it don't count (RFC 9112 §2.2)."""
        return len(self._raw) > (self._raw[:1] == b"\r")

    def feed(self, data: bytes) -> bytes | None:
        """Take received bytes. Return the bytes behind the head, with `head` set, or None if more are needed.

        Raises ProtocolError; the connection can't be used any more then.
        """
        raw = self._raw
        known = len(raw)
        raw += data
        if self._parser is None:
            self._skip_empty_lines(raw)
            known = 0
        end = raw.find(_HEAD_END, max(0, known - 3)) + 4
        if end < 4:
            self._check_grammar(
                raw, known, len(raw)
            )  # first, so that a method that is too long is not called a long target
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
        # The limit is for the line without its CRLF.
        if len(raw) > limits.line + 1 and not 0 <= raw.find(b"\n") <= limits.line + 1:
            raise LimitExceeded(414, f"request line longer than {limits.line} bytes (limit_request_line)")
        if len(raw) > limits.head:
            raise LimitExceeded(431, f"head longer than {limits.head} bytes (limit_request_head)")

    def _check_line(self, raw: bytearray) -> None:
        # llhttp accepts HTTP/0.9, a request of one line, and would read the next line as another request.
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
    """Feed `shown`, the next part of `raw`. Raises ProtocolError if `raw` is invalid."""
    error = _feed(parser, shown)
    if error is None:
        return
    # A value may have whitespace around it (RFC 9110 §5.5), but llhttp refuses a tab behind `chunked`. It does so at
    # the end of the head, so all of it is here: check it once more, without that whitespace.
    text, count = _SPACE_BEHIND_CODING.subn(rb"\1", raw)
    if count and text.endswith(_HEAD_END):
        error = _feed(HttpRequestParser(_NO_CALLBACKS), _shown(text))
    if error is not None:
        raise _explain(error, text)


def _feed(parser: HttpRequestParser, shown: bytes | bytearray) -> HttpParserError | None:
    """Feed `shown` to llhttp. Return its error, None if it accepts."""
    try:
        parser.feed_data(shown)
    except HttpParserUpgrade:
        pass  # see read_whole_head
    except HttpParserError as error:
        return error
    return None


def _shown(raw: bytes) -> bytes:
    """The head as it is shown to llhttp: with GET in place of a method that llhttp does not know."""
    method = raw.partition(b" ")[0]
    return b"GET" + raw[len(method) :] if _is_unknown(method) else raw


def _is_unknown(method: bytes | bytearray) -> bool:
    """Return True if this is a valid method that is not on llhttp's list."""
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
    if raw[:2] == b"\x16\x03":  # RFC 8446 §5.1: every TLS client begins so
        return ProtocolError(400, "this port speaks plain HTTP, not TLS: use http://")
    return ProtocolError(400, "not an HTTP request line (RFC 9112 §3)")
