"""The status and the fields that an app gives for its response, checked before any byte of them is used.

Sans-IO. wsgi/ calls `check_head` from start_response, so that an error points to the app's own line (PEP 3333).
responses.py completes the head. The invariant: an AppHead's `data` is one status line and whole field lines, for
any input. It is made from exact strings that were copied once, before the check: neither a list that changes later nor
a subclass of str with its own methods can change it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from greenserve.caches import remember
from greenserve.errors import AppError
from greenserve.grammar import TOKEN_CHARACTERS, is_token

_STATUS: Final = re.compile(r"[2-9][0-9][0-9] [\t -~\x80-\xff]*")
_BAD: Final = re.compile(r"[^\t -~\x80-\xff]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # CR and LF are counted instead
_OPTIONS: Final = re.compile(rf"[\t ,{TOKEN_CHARACTERS}]*")
_LONGEST_KEPT: Final = 1024  # characters of a head that is remembered; longer heads rarely repeat
_LONGEST_NAME: Final = 64  # characters of a field name that is remembered

# The fields that the head depends on; all others are copied as they are.
_PLAIN, _LENGTH, _DATE, _SERVER, _CONNECTION, _HOP = range(6)
_MEANINGS: Final = {
    "content-length": _LENGTH,
    "date": _DATE,
    "server": _SERVER,
    "connection": _CONNECTION,
    # Only the server sends hop-by-hop fields (PEP 3333, "Other HTTP Features"; RFC 2616 §13.5.1; RFC 9110 §7.6.1).
    "keep-alive": _HOP,
    "proxy-authenticate": _HOP,
    "proxy-authorization": _HOP,
    "proxy-connection": _HOP,
    "te": _HOP,
    "trailer": _HOP,
    "trailers": _HOP,  # RFC 2616's name for the same
    "transfer-encoding": _HOP,
    "upgrade": _HOP,
}
_HARMLESS_OPTIONS: Final = {"close", "keep-alive", ""}
_meanings: dict[str, int] = {}


class AppHead:
    """The head of an app's response without its framing, and the values that the framing depends on."""

    __slots__ = ("connection", "data", "has_date", "has_server", "is_kept", "last", "length", "status")

    def __init__(self, status: int) -> None:
        """_take_fields sets everything else."""
        self.status = status
        self.data = b""  # the status line and the fields that are sent as they are
        self.length: int | None = None  # Content-Length; not in `data`
        self.connection: set[str] | None = None  # the options in Connection; not in `data`
        self.has_date = False
        self.has_server = False
        self.is_kept = False  # it may be remembered: it is small and was made of exact strings
        # For responses.py: the last request it was completed for, and the result. One tuple, set in one step, since
        # servers in several OS threads share the head.
        self.last: tuple[tuple[object, ...], Any] = (), None


class HeadCache:
    """Heads that were checked before: an app has few kinds of responses, so most heads were seen a moment ago."""

    __slots__ = ("_heads", "_last")

    def __init__(self) -> None:
        """Start empty."""
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...]], AppHead] = {}
        # The latest, in front of the table: if the app passes constants, no hash has to be computed.
        # No app can pass this first object.
        self._last: tuple[object, list[Any], AppHead] = object(), [], AppHead(0)

    def check(self, status: str, fields: list[tuple[str, str]]) -> AppHead:
        """Check the arguments of start_response (PEP 3333). Raises AppError for what cannot be sent as it is."""
        last_status, last_fields, last = self._last
        if status is last_status and type(fields) is list and fields == last_fields:
            return last
        given = _copy(fields)
        try:
            head = self._heads.get((status, given))
        except TypeError:
            head = None  # not hashable, so not a (str, str): _check_head refuses it or makes it plain
        if head is None:
            head = _check_head(status, given)
            if head.is_kept:
                remember(self._heads, (status, given), head)
        else:
            self._last = status, list(given), head
        return head


check_head: Final = HeadCache().check


def _check_head(status: str, given: tuple[Any, ...]) -> AppHead:
    plain_status = _exact(status, "status")
    if not _STATUS.fullmatch(plain_status):
        raise AppError(
            f"status {plain_status!r:.100} is not of the form '200 OK', with a code from 200 to 999 (PEP 3333)"
        )
    head = AppHead(int(plain_status[:3]))
    is_plain, dropped = _take_fields(head, f"HTTP/1.1 {plain_status}\r\n", given)
    # A subclass of str may change what it is equal to.
    head.is_kept = is_plain and type(status) is str and len(head.data) + dropped <= _LONGEST_KEPT
    return head


def check_fields(start_line: str, fields: list[tuple[str, str]]) -> AppHead:
    """Check the fields of an interim response, whose status the server sets. Raises AppError as check_head does."""
    head = AppHead(0)
    _take_fields(head, start_line, _copy(fields))
    return head


def _copy(fields: Any) -> tuple[Any, ...]:
    # A generator can be read once only, a dict repeats no field, and two characters of a str look like a pair.
    if not issubclass(type(fields), (list, tuple)):
        raise AppError(
            f"response headers must be a list of (str, str), not {type(fields).__name__} (PEP 3333)"
        )
    return tuple(fields)


def _take_fields(head: AppHead, start_line: str, given: tuple[Any, ...]) -> tuple[bool, int]:
    """Fill `head`. Return True if `given` has exact types only, and the number of characters kept out of `data`."""
    text = start_line
    lines = 1
    dropped = 0
    for field in given:
        if type(field) is not tuple or len(field) != 2 or not type(field[0]) is type(field[1]) is str:
            _take_fields(head, start_line, tuple(map(_exact_pair, given)))
            return False, 0
        name, value = field
        meaning = _meanings.get(name)
        if meaning is None:
            meaning = _find_meaning(name)
        if meaning:
            if meaning == _LENGTH:
                head.length = _take_length(value, head.length)
                continue
            if meaning == _CONNECTION:
                head.connection = (head.connection or set()) | _take_options(value)
                dropped += len(value)
                continue
            if meaning == _HOP:
                if head.status == 426 and name.lower() == "upgrade":
                    # Only the app knows the protocol that it requires (RFC 9110 §15.5.22); §7.8: Connection names it.
                    text += f"Upgrade: {value}\r\nConnection: Upgrade\r\n"
                    lines += 2
                    continue
                raise AppError(
                    f"the app sent {name}, which is the server's to send (PEP 3333, RFC 9110 §7.6.1)"
                )
            head.has_date = head.has_date or meaning == _DATE
            head.has_server = head.has_server or meaning == _SERVER
        text += name + ": " + value + "\r\n"
        lines += 1
    # One count over the whole text is cheaper than checking each value, and finds the same errors.
    if text.count("\n") != lines or text.count("\r") != lines or _CONTROL.search(text):
        raise _blame_value(given)
    if head.connection and not head.connection <= _HARMLESS_OPTIONS:
        _check_options(head.connection, given)
    try:
        head.data = text.encode("latin-1")
    except UnicodeEncodeError:
        raise _blame_value(given) from None
    return True, dropped


def _exact(value: Any, what: str) -> str:
    """The characters of a str, as an exact str even for a subclass."""
    if not issubclass(type(value), str):  # isinstance() would ask the object's own __class__
        raise AppError(f"{what} must be a str, not {type(value).__name__} (PEP 3333)")
    return str.__str__(value)


def _exact_pair(field: Any) -> tuple[str, str]:
    pair = tuple(field) if issubclass(type(field), (tuple, list)) else None
    if pair is None or len(pair) != 2:
        kind = type(field).__name__ if pair is None else f"{type(field).__name__} of {len(pair)}"
        raise AppError(f"response headers must be a list of (str, str), and one is a {kind} (PEP 3333)")
    name = _exact(pair[0], "a response header's name")
    return name, _exact(pair[1], f"the value of response header {name!r:.100}")


def _find_meaning(name: str) -> int:
    if not is_token(name):
        raise AppError(f"response header name {name!r:.100} is not a token (RFC 9110 §5.1)")
    meaning = _MEANINGS.get(name.lower(), _PLAIN)
    if len(name) <= _LONGEST_NAME:
        remember(_meanings, name, meaning)
    return meaning


def _take_length(value: str, declared: int | None) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise AppError(f"Content-Length {value!r:.100} is not a number (RFC 9110 §8.6)")
    length = int(value)
    if declared not in (None, length):
        raise AppError(f"two Content-Length headers, {declared} and {length} (RFC 9110 §8.6)")
    return length


def _take_options(value: str) -> set[str]:
    if not _OPTIONS.fullmatch(value):
        raise AppError(f"Connection {value!r:.100} is not a list of tokens (RFC 9110 §7.6.1)")
    return {option.strip(" \t").lower() for option in value.split(",")}


def _check_options(options: set[str], given: tuple[tuple[str, str], ...]) -> None:
    """Refuse fields that Connection names: they are for the next hop only, which only the server knows."""
    for name, _ in given:
        if name.lower() in options:
            raise AppError(
                f"the app sent {name} and named it in Connection: hop-by-hop fields are the server's to send "
                "(PEP 3333, RFC 9110 §7.6.1)"
            )


def _blame_value(given: tuple[tuple[str, str], ...]) -> AppError:
    # The position and not the value, which may be secret: an app may show its errors to the client.
    for name, value in given:
        if found := _BAD.search(value):
            return AppError(
                f"response header {name} has {found[0]!a} at character {found.start()} of its value; allowed are "
                "printable latin-1, space and tab (RFC 9110 §5.5)"
            )
    raise AssertionError("the head can't be sent, though each of its values can")
