"""Reads the head of a request: bytes in, one RequestHead out, or a ProtocolError that says which rule was broken.

Sans-IO. The connection feeds a HeadReader what it receives. llhttp checks the grammar, in C and without a callback; a
head that comes whole costs one pass, a slow one is checked piece by piece and refused at its first wrong byte.
heads.py then takes the checked text apart.

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


class HeadReader:
    """Reads one head. Make a new one for each request: that costs less than to clean one up."""

    # Defaults on the class: most heads come whole and touch none of them.
    _parser: HttpRequestParser | None = None
    _raw: bytes | bytearray = b""
    head: RequestHead | None = None

    def __init__(self, limits: HeadLimits) -> None:
        """Nothing read yet."""
        self._limits = limits

    @property
    def begun(self) -> bool:
        """Whether any byte of a head has come; empty lines before it don't count (RFC 9112 §2.2)."""
        return self._parser is not None

    def feed(self, data: bytes) -> bytes | None:
        """Take what was received; give what follows the head, with `head` set, or None when more is needed.

        Raises ProtocolError, after which the connection is of no more use.
        """
        if self._parser is not None:
            return self._feed_more(self._parser, data)
        if data[:1] in b"\r\n":
            data = data.lstrip(b"\r\n")
            if not data:
                return None
        parser = HttpRequestParser(_NO_CALLBACKS)
        end = data.find(_HEAD_END) + 4
        if end > 3:
            raw, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
        else:
            self._parser = parser
            self._raw = bytearray(data)
            self._check_unfinished(data)
            self._check_grammar(parser, data)
            return None
        try:
            parser.feed_data(raw)
        except HttpParserUpgrade:
            pass  # llhttp's word for: the head is over, another protocol may follow. That is for the app to say.
        except HttpParserError as error:
            self._raw = raw
            raise self._explain(error) from None
        self.head = make_head(raw.decode("latin-1"), self._limits)
        return rest

    def _feed_more(self, parser: HttpRequestParser, data: bytes) -> bytes | None:
        raw = self._raw
        known = len(raw)
        assert isinstance(raw, bytearray)  # since the first piece
        raw += data
        end = raw.find(_HEAD_END, max(0, known - 3)) + 4
        if end < 4:
            self._check_unfinished(raw)
            self._check_grammar(parser, data)
            return None
        rest = bytes(raw[end:])
        del raw[end:]
        self._check_grammar(parser, raw[known:])
        self.head = make_head(raw.decode("latin-1"), self._limits)
        return rest

    def _check_unfinished(self, raw: bytes | bytearray) -> None:
        limits = self._limits
        # Its CRLF does not count.
        if len(raw) > limits.line + 1 and not 0 <= raw.find(b"\n") <= limits.line + 1:
            raise LimitExceeded(414, f"request line longer than {limits.line} bytes (limit_request_line)")
        if len(raw) > limits.head:
            raise LimitExceeded(431, f"head longer than {limits.head} bytes (limit_request_head)")

    def _check_grammar(self, parser: HttpRequestParser, data: bytes | bytearray) -> None:
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # as in feed()
        except HttpParserError as error:
            raise self._explain(error) from None

    def _explain(self, error: HttpParserError) -> ProtocolError:
        raw = bytes(self._raw)
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
