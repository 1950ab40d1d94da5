"""The head of a response: the app's checked head becomes bytes, completed with its framing.

Sans-IO. wsgi/ calls it once for each response of an app, net/ for errors before an app is called. The invariant: the
result is one head, and its framing describes the content that will be sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from greenserve.http1.app_heads import AppHead, check_head

# HTTP/1.1 stays open by default, 1.0 closes (RFC 9112 §9.3); `close` is sent to 1.0 too, to be plain.
_LAST_LINES: Final = {
    (True, True): "\r\n",
    (True, False): "Connection: close\r\n\r\n",
    (False, True): "Connection: keep-alive\r\n\r\n",
    (False, False): "Connection: close\r\n\r\n",
}
_PHRASES: Final = {413: "Content Too Large"}  # RFC 9110 §15.5.14; Python has the old name up to 3.12


# A NamedTuple's attributes are slower to read, and a frozen one takes four times as long to make.
@dataclass(slots=True)
class ResponseHead:
    """A head ready to be sent, and the framing of its content. Never changed: several responses share it."""

    data: bytes
    status: int
    bodyless: bool  # HEAD, 204, 205 and 304: content is dropped (RFC 9110 §6.4.1, §15.3.6)
    length: int | None  # bytes of content, if the head has Content-Length
    chunked: bool
    keep_alive: bool


def response_head(
    given: AppHead, method: str, http11: bool, keep_alive: bool, length: int | None, date: str, server: str
) -> ResponseHead:
    """Complete a head for the response to one request.

    `length` is that of the content in bytes, if it is known. `date` and `server` are whole lines, used unless the app
    sent its own.
    """
    # Most requests need the same as the one before.
    wanted = date, length, method, http11, keep_alive, server
    head: ResponseHead
    last_wanted, head = given.last
    if wanted != last_wanted:
        head = _make_head(given, method, http11, keep_alive, length, date, server)
        given.last = wanted, head
    return head


def _make_head(
    given: AppHead, method: str, http11: bool, keep_alive: bool, length: int | None, date: str, server: str
) -> ResponseHead:
    code = given.status
    declared = given.length
    if given.connection is not None and "close" in given.connection:
        keep_alive = False  # keep-alive is the server's decision alone
    text = ""
    bodyless = method == "HEAD" or code in (204, 205, 304)
    chunked = False
    if bodyless:
        if code == 205:
            text = "Content-Length: 0\r\n"  # no content, but framed as any other answer (RFC 9110 §15.3.6)
        elif declared is not None and code != 204:
            # The app's own length is that of the response to a GET (RFC 9110 §8.6); a counted one is not.
            text = f"Content-Length: {declared}\r\n"
        declared = None
    elif declared is not None or length is not None:
        declared = length if declared is None else declared
        text = f"Content-Length: {declared}\r\n"
    elif http11:
        chunked = True
        text = "Transfer-Encoding: chunked\r\n"
    else:
        keep_alive = False  # the end of the connection is the end of the body (RFC 9112 §6.3)
    text += ("" if given.has_date else date) + ("" if given.has_server else server)
    text += _LAST_LINES[http11, keep_alive]
    return ResponseHead(given.data + text.encode("latin-1"), code, bodyless, declared, chunked, keep_alive)


def with_field(head: ResponseHead, sought: bytes, line: bytes) -> ResponseHead:
    """Return the same head with one more field line, unless `sought`, its name in lower case, shows it there already.

    `sought` is like `\\r\\nx-request-id:`. For a field that differs from response to response, which a remembered head
    can't have.
    """
    data = head.data
    if sought in data.lower():
        return head
    data = data[:-2] + line + b"\r\n"
    return ResponseHead(data, head.status, head.bodyless, head.length, head.chunked, head.keep_alive)


def encode_error(
    status: int,
    reason: str,
    date: str,
    server: str,
    *,
    head_only: bool = False,
    extra: tuple[tuple[str, str], ...] = (),
) -> tuple[bytes, bytes]:
    """Head and content of an error response of the server's own, in plain text; the connection closes after it."""
    phrase = _PHRASES.get(status) or HTTPStatus(status).phrase
    body = f"{status} {phrase}\n" + (f"{reason}\n" if reason else "")
    content = body.encode()
    given = check_head(f"{status} {phrase}", [("Content-Type", "text/plain; charset=utf-8"), *extra])
    head = response_head(given, "GET", True, False, len(content), date, server)
    return head.data, b"" if head_only else content
