"""Reads the head of a request: bytes in, one RequestHead out, or a ProtocolError that says which rule was broken.

Sans-IO. llhttp checks the grammar, in C and without a callback. Most heads come whole and cost one pass; one that comes
in pieces is checked piece by piece by a HeadReader, and refused at its first wrong byte. heads.py then takes the
checked text apart. A new parser for each head costs a seventh of a microsecond, and no state is left to go wrong.

Invariant: the parser never sees a byte behind the head. It has no pause, so what a pipelining client sends ahead
stays raw bytes, and memory is bounded by what one read returns.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from greenserve.errors import LimitExceeded, ProtocolError
from greenserve.http1.heads import HeadLimits, RequestHead, coding_error, make_head

_HEAD_END: Final = b"\r\n\r\n"
_NO_CALLBACKS: Final = object()
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_VERSION: Final = re.compile(rb" HTTP/(\d\.\d)\r\n")
_CODING: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r\n]*)", re.IGNORECASE)


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
    except HttpParserError as error:
        raise _explain(error, raw) from None
    return make_head(raw.decode("latin-1"), limits), rest


class HeadReader:
    """Reads one head that comes in pieces."""

    def __init__(self, limits: HeadLimits) -> None:
        """Nothing read yet."""
        self._limits = limits
        self._parser = HttpRequestParser(_NO_CALLBACKS)
        self._raw = bytearray()
        self.head: RequestHead | None = None

    @property
    def begun(self) -> bool:
        """Whether any byte of a head has come; empty lines before it don't count (RFC 9112 §2.2)."""
        return bool(self._raw)

    def feed(self, data: bytes) -> bytes | None:
        """Take what was received; give what follows the head, with `head` set, or None when more is needed.

        Raises ProtocolError, after which the connection is of no more use.
        """
        raw = self._raw
        known = len(raw)
        if not known:
            data = data.lstrip(b"\r\n")
        raw += data
        end = raw.find(_HEAD_END, max(0, known - 3)) + 4
        if end < 4:
            self._check_unfinished(raw)
            self._check_grammar(data)
            return None
        rest = bytes(raw[end:])
        del raw[end:]
        self._check_grammar(raw[known:])
        self.head = make_head(raw.decode("latin-1"), self._limits)
        return rest

    def _check_unfinished(self, raw: bytes | bytearray) -> None:
        limits = self._limits
        # Its CRLF does not count.
        if len(raw) > limits.line + 1 and not 0 <= raw.find(b"\n") <= limits.line + 1:
            raise LimitExceeded(414, f"request line longer than {limits.line} bytes (limit_request_line)")
        if len(raw) > limits.head:
            raise LimitExceeded(431, f"head longer than {limits.head} bytes (limit_request_head)")

    def _check_grammar(self, data: bytes | bytearray) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # as above
        except HttpParserError as error:
            raise _explain(error, bytes(self._raw)) from None


def _explain(error: HttpParserError, raw: bytes) -> ProtocolError:
    line = raw.split(b"\r\n", 1)[0]
    if isinstance(error, HttpParserInvalidMethodError):
        word, space, _ = line.partition(b" ")
        if space and _TOKEN.fullmatch(word):
            return ProtocolError(501, "method not implemented (RFC 9110 §9.1)")
        return ProtocolError(400, "not an HTTP request line (RFC 9112 §3)")
    version = _VERSION.search(raw)
    if version and version[1] not in (b"1.0", b"1.1") and line.count(b" ") == 2:
        return ProtocolError(505, "HTTP version not supported (RFC 9110 §15.6.6)")
    text = str(error)
    if "Transfer-Encoding" in text:
        if "Content-Length" in text:
            return ProtocolError(400, "Content-Length with Transfer-Encoding (RFC 9112 §6.1)")
        codings = _CODING.findall(raw)
        if codings:
            return coding_error(b", ".join(codings).decode("latin-1"))
    return ProtocolError(400, f"{text} (RFC 9112 §3, §5)")
