"""Logs that a daemon of the machine or the network takes, one datagram for each line: syslog and systemd's journal.

`syslog:` is the machine's own (/dev/log), in the form that rsyslog, syslog-ng and journald take from syslog(3);
`syslog:PATH` is another socket; `syslog:HOST:PORT` goes over UDP, as RFC 5424 and RFC 5426 have it. `journald` is the
journal's native protocol, with fields. Called by error_log.py, which opens the place of a log.

Facts: a daemon restarts, and a socket that was connected to the old one is dead; its buffer may be full. Decision:
nothing is waited for; a datagram that does not go out is tried once on a new socket, at most once a second, then it is
lost and counted. Cost: over UDP nobody knows what arrives.

Invariant: write() raises nothing and waits for nothing.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from greenserve.logs.error_formats import priority_of
from greenserve.logs.files import Losses, open_sinks
from greenserve.logs.times import local_time, rfc3339
from greenserve_hub.unpatched import os, socket, time

__all__ = ["DatagramLog", "Place", "parse_place"]

JOURNAL: Final = "/run/systemd/journal/socket"
_LONGEST: Final = 8 * 1024  # bytes of a message: what rsyslog takes by default
_RETRY: Final = 1.0  # seconds between two new sockets
_FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6"),
    "local7",
)
_PLACE: Final = re.compile(
    r"""syslog: (?: (?P<path>/[^?]*)
        | \[(?P<v6>[^\]?]+)\] (?: :(?P<v6_port>\d+))?
        | (?P<host>[^:/?\[\]]+) (?: :(?P<port>\d+))?
        )?
        (?: \? (?P<options>.*) )?""",
    re.VERBOSE | re.ASCII,
)
_TAG: Final = re.compile(r"[!-9;-Z\\^-~]{1,48}", re.ASCII)  # no space, colon or brackets: they end it
_FORMS: Final = "syslog:, syslog:/PATH or syslog:HOST:PORT, each with ?facility=local0&tag=NAME if need be"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a datagram goes, and in which form."""

    kind: str  # unix, udp or journal
    path: str = ""
    host: str = ""
    port: int = 514  # RFC 5426 §3.3
    facility: int = 3  # daemon
    tag: str = "greenserve"


def parse_place(text: str) -> Place | None:
    """Parse `journald` or `syslog:…`; None for what is no such place. Raises ValueError, with the correct form."""
    if text == "journald":
        return Place("journal", JOURNAL)
    if not text.startswith("syslog:"):
        return None
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a place of syslog: write {_FORMS}")
    options: dict[str, Any] = {}
    for option in (match["options"] or "").split("&"):
        name, _, value = option.partition("=")
        if name == "facility" and value in _FACILITIES:
            options["facility"] = _FACILITIES.index(value)
        elif name == "tag" and _TAG.fullmatch(value):
            options["tag"] = value
        elif option:
            raise ValueError(
                f"{option!r} is not an option: facility (user, daemon, local0 to local7, …) or tag"
            )
    host = match["v6"] or match["host"]
    if host is None:
        return Place("unix", match["path"] or "/dev/log", **options)
    port = int(match["v6_port"] or match["port"] or 514)
    if not 0 < port < 65536:
        raise ValueError("a port is 1 to 65535")
    return Place("udp", host=host, port=port, **options)


class DatagramLog:
    """An open log whose lines are datagrams."""

    adds_head = True
    is_terminal = is_journal = False

    def __init__(self, place: Place, name: str, on_trouble: Callable[[str], None]) -> None:
        """Open it. Raises OSError if no daemon takes datagrams there. Looks up a host name, once."""
        self._place = place
        self._losses = Losses(name, on_trouble)
        self._encode: Callable[[bytes, int, Mapping[str, str]], bytes] = {
            "unix": self._as_local,
            "udp": self._as_rfc5424,
            "journal": self._as_fields,
        }[place.kind]
        self._host = re.sub(r"[^!-~]", "", socket.gethostname()) or "-"
        self._family: int = socket.AF_UNIX
        self._address: Any = place.path
        if place.kind == "udp":
            found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM)
            self._family, self._address = found[0][0], found[0][4]
        self._retry_at = 0.0
        self._is_closed = False
        self._sock: socket.socket | None = self._connect()
        open_sinks.add(self)

    @property
    def lost(self) -> int:
        """See Sink."""
        return self._losses.count

    def write(self, line: bytes, level: int = logging.INFO, fields: Mapping[str, str] | None = None) -> None:
        """See Sink. `fields`: of the journal alone."""
        if self._is_closed:
            return
        text = line.rstrip(b"\n")
        if len(text) > _LONGEST:
            text = text[:_LONGEST].decode("utf-8", "ignore").encode() + "…".encode()
        try:
            self._send(self._encode(text, priority_of(level), fields or {}))
        except OSError as error:
            self._losses.lose(error)
        else:
            self._losses.recover()

    def write_all(self, lines: list[bytes], fields: Sequence[Mapping[str, str]] = ()) -> None:
        """See Sink."""
        for line, its in zip_longest(lines, fields):
            self.write(line, logging.INFO, its)

    def reopen(self) -> bool:
        """See Sink: the daemon may have restarted."""
        self._retry_at = 0.0
        self._disconnect()
        return True

    def duplicate(self) -> int:
        """Return a descriptor of stderr: C code can write no datagram."""
        try:
            return os.dup(2)
        except OSError:
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """See Sink."""
        self._is_closed = True
        self._disconnect()
        open_sinks.discard(self)

    # The socket ------------------------------------------------------------------------------------------

    def _connect(self) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(self._address)
        except BaseException:
            sock.close()
            raise
        return sock

    def _disconnect(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _send(self, data: bytes) -> None:
        if self._sock is not None:
            try:
                self._sock.send(data)
            except BlockingIOError:
                raise OSError(errno.EAGAIN, "its reader does not read") from None
            except OSError:
                # Over UDP: the port of an earlier datagram was closed. Over a unix socket: the daemon has gone.
                self._disconnect()
            else:
                return
        now = time.monotonic()
        if now < self._retry_at:
            raise OSError(errno.ENOTCONN, "nobody takes lines there")
        self._retry_at = now + _RETRY
        self._sock = self._connect()
        with contextlib.suppress(BlockingIOError):
            self._sock.send(data)

    # The forms -------------------------------------------------------------------------------------------

    def _as_local(self, text: bytes, priority: int, fields: Mapping[str, str]) -> bytes:
        now = local_time(time.time())
        day = now.apache[1:3]  # of `[23/Nov/2026:07:30:01 +0100]`; syslog has a space for a leading zero
        day = f" {day[1]}" if day[0] == "0" else day
        head = f"<{self._place.facility * 8 + priority}>{now.apache[4:7]} {day} {now.time} "
        return f"{head}{self._place.tag}[{os.getpid()}]: ".encode() + text

    def _as_rfc5424(self, text: bytes, priority: int, fields: Mapping[str, str]) -> bytes:
        number = self._place.facility * 8 + priority
        head = f"<{number}>1 {rfc3339(time.time())} {self._host} {self._place.tag} {os.getpid()} - - "
        return head.encode() + text  # without the mark of RFC 5424 §6.4, which rsyslog leaves in the message

    def _as_fields(self, text: bytes, priority: int, fields: Mapping[str, str]) -> bytes:
        data = _field("MESSAGE", text) + _field("PRIORITY", b"%d" % priority)
        data += _field("SYSLOG_IDENTIFIER", self._place.tag.encode())
        for name, value in fields.items():
            data += _field(name, value.encode("utf-8", "backslashreplace"))
        return data


def _field(name: str, value: bytes) -> bytes:
    # systemd's "Native Journal Protocol": a value with a newline is preceded by its length.
    if b"\n" in value:
        return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
