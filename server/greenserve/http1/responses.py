"""The head of an answer: status and fields in, bytes out, with the framing that follows from them.

Sans-IO. wsgi/ calls it once for each answer of an app, net/ for the errors that never reach one. The
invariant: what comes out is one head and nothing else, whatever the app put in; a line break in a value is an
AppError, never a second head.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from greenserve.errors import AppError

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STATUS: Final = re.compile(r"[2-9]\d\d [\t -~\x80-\xff]*")
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # besides CR and LF, which are counted
_CACHE_SIZE: Final = 1024

# What a field means for the head; others are copied as they are.
_PLAIN, _LENGTH, _DATE, _SERVER, _CONNECTION, _HOP = range(6)
_MEANINGS: Final = {
    "content-length": _LENGTH,
    "date": _DATE,
    "server": _SERVER,
    "connection": _CONNECTION,
    # Hop-by-hop fields are the server's (PEP 3333, "Other HTTP Features"; RFC 9110 §7.6.1).
    "keep-alive": _HOP,
    "proxy-authenticate": _HOP,
    "proxy-authorization": _HOP,
    "te": _HOP,
    "trailer": _HOP,
    "transfer-encoding": _HOP,
    "upgrade": _HOP,
}
# Staying open is the default of HTTP/1.1, closing that of 1.0 (RFC 9112 §9.3); the latter is told too, for plainness.
_LAST_LINES: Final = {
    (True, True): "\r\n",
    (True, False): "Connection: close\r\n\r\n",
    (False, True): "Connection: keep-alive\r\n\r\n",
    (False, False): "Connection: close\r\n\r\n",
}
_PHRASES: Final = {413: "Content Too Large"}  # RFC 9110 §15.5.14; Python has the old name up to 3.12
_meanings: dict[str, int] = {}
_statuses: dict[str, tuple[int, str]] = {}
_LONGEST_KEPT: Final = 1024  # bytes of a head; longer ones hardly repeat


@dataclass(frozen=True, slots=True)  # a NamedTuple's attributes are slower to read
class AnswerHead:
    """A head ready to be sent, and how its body is framed."""

    data: bytes
    status: int
    bodyless: bool  # HEAD, 204 and 304: content is dropped (RFC 9110 §6.4.1)
    length: int | None  # bytes of content to come, where the head says so
    chunked: bool
    keep_alive: bool


# By all that goes in but the date, which is beside.
_made: dict[tuple[object, ...], tuple[str, AnswerHead]] = {}


def answer_head(
    status: str,
    fields: list[tuple[str, str]],
    method: str,
    http11: bool,
    keep_alive: bool,
    length: int | None,
    date: str,
    server: str,
) -> AnswerHead:
    """Put a head together from what the app gave to start_response (PEP 3333).

    `length` is the content's where it is known already. `date` and `server` are whole lines, used unless the
    app sent its own. Raises AppError for anything that cannot be sent as it is.
    """
    # An app has few kinds of answers: most heads of a second have been made, and checked, before.
    try:
        key = (status, length, method, http11, keep_alive, server, tuple(fields))
        made = _made.get(key)
    except TypeError:
        key, made = None, None  # the app gave something else than a list of (str, str), or nearly: see there
    if made is not None and made[0] == date:
        return made[1]
    answer = _make_head(status, fields, method, http11, keep_alive, length, date, server)
    if key is not None and len(answer.data) <= _LONGEST_KEPT:
        if len(_made) >= _CACHE_SIZE:
            _made.clear()
        _made[key] = (date, answer)
    return answer


def _make_head(  # noqa: C901  # one pass over the fields
    status: str,
    fields: list[tuple[str, str]],
    method: str,
    http11: bool,
    keep_alive: bool,
    length: int | None,
    date: str,
    server: str,
) -> AnswerHead:
    code, text = _statuses.get(status) or _remember_status(status)
    declared: int | None = None
    lines = 1
    try:
        for name, value in fields:
            meaning = _meanings.get(name)
            if meaning is None:
                meaning = _remember_name(name)
            if meaning:
                if meaning == _LENGTH:
                    declared = _take_length(value, declared)
                    continue
                if meaning == _DATE:
                    date = ""
                elif meaning == _SERVER:
                    server = ""
                elif meaning == _CONNECTION:
                    if "close" in value.lower():
                        keep_alive = False
                    continue  # whether it stays open is the server's to say
                else:
                    raise AppError(
                        f"the app sent {name}, which is the server's to send (PEP 3333, RFC 9110 §7.6.1)"
                    )
            text += name + ": " + value + "\r\n"
            lines += 1
    except (TypeError, ValueError, AttributeError) as error:
        raise AppError(f"response headers must be a list of (str, str): {error} (PEP 3333)") from None
    # One count over all is cheaper than a look at each value, and finds the same.
    if text.count("\n") != lines or text.count("\r") != lines or _CONTROL.search(text):
        raise _blame_value(fields)
    bodyless = method == "HEAD" or code == 204 or code == 304
    chunked = False
    if bodyless:
        # What the app declared tells of the answer to a GET (RFC 9110 §8.6); what we counted does not.
        if declared is not None and code != 204:
            text += f"Content-Length: {declared}\r\n"
        declared = None
    elif declared is not None or length is not None:
        declared = length if declared is None else declared
        text += f"Content-Length: {declared}\r\n"
    elif http11:
        chunked = True
        text += "Transfer-Encoding: chunked\r\n"
    else:
        keep_alive = False  # the end of the connection is the end of the body (RFC 9112 §6.3)
    text += date + server + _LAST_LINES[http11, keep_alive]
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        raise _blame_value(fields) from None
    return AnswerHead(data, code, bodyless, declared, chunked, keep_alive)


def _remember_status(status: str) -> tuple[int, str]:
    if not isinstance(status, str) or not _STATUS.fullmatch(status):
        raise AppError(
            f"status {status!r} is not of the form '200 OK', with a code from 200 to 999 (PEP 3333)"
        )
    found = int(status[:3]), f"HTTP/1.1 {status}\r\n"
    if len(_statuses) < _CACHE_SIZE:
        _statuses[status] = found
    return found


def _remember_name(name: str) -> int:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise AppError(f"response header name {name!r} is not a token (RFC 9110 §5.1)")
    meaning = _MEANINGS.get(name.lower(), _PLAIN)
    if len(_meanings) < _CACHE_SIZE:
        _meanings[name] = meaning
    return meaning


def _take_length(value: str, declared: int | None) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise AppError(f"Content-Length {value!r} is not a number (RFC 9110 §8.6)")
    length = int(value)
    if declared not in (None, length):
        raise AppError(f"two Content-Length headers, {declared} and {length} (RFC 9110 §8.6)")
    return length


def _blame_value(fields: Iterable[tuple[str, str]]) -> AppError:
    for name, value in fields:
        if not _VALUE.fullmatch(value):
            return AppError(
                f"response header {name} has a line break, control or non-latin-1 character: {value!r} (RFC 9110 §5.5)"
            )
    return AppError("response headers contain a line break, control or non-latin-1 character (RFC 9110 §5.5)")


def continue_head(fields: Iterable[tuple[str, str]]) -> bytes:
    """A 100 Continue with fields of the app's own (RFC 9110 §15.2.1). Raises AppError as answer_head does."""
    fields = list(fields)
    text = "HTTP/1.1 100 Continue\r\n"
    for name, value in fields:
        _remember_name(name)
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise _blame_value(fields)
        text += f"{name}: {value}\r\n"
    return (text + "\r\n").encode("latin-1")


def encode_error(
    status: int,
    reason: str,
    date: str,
    server: str,
    *,
    head_only: bool = False,
    extra: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """A whole answer of the server's own, in plain text, after which the connection closes."""
    phrase = _PHRASES.get(status) or HTTPStatus(status).phrase
    body = f"{status} {phrase}\n" + (f"{reason}\n" if reason else "")
    fields = [("Content-Type", "text/plain; charset=utf-8"), *extra]
    content = body.encode()
    head = answer_head(f"{status} {phrase}", fields, "GET", True, False, len(content), date, server)
    return head.data if head_only else head.data + content
