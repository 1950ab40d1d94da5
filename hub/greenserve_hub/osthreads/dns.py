"""socket.getaddrinfo and the other name lookups, in OS threads, so that the hub keeps running.

The system's resolver does the work, so /etc/hosts, search domains, nsswitch and scoped IPv6 addresses work as usual.
Called by green sockets. It has its own OS threads: a name server that does not answer must not use up those of
threads.execute().

Invariants: one lookup of the same question at a time, however many green threads ask. An answer is kept for KEPT
seconds, an error never. A waiter that gives up does not affect the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from greenserve_hub.finalization import has_begun
from greenserve_hub.osthreads.thread_pools import ThreadPool
from greenserve_hub.sync.thread_sync import Event
from greenserve_hub.unpatched import os, socket, time

KEPT: Final = (
    5.0  # seconds; the resolver does not tell how long an answer is valid, and a failover must be seen soon
)
_KEPT_MOST: Final = 1024  # answers
_AT_ONCE: Final = 16  # lookups; further ones are queued

_getaddrinfo = socket.getaddrinfo
_getnameinfo = socket.getnameinfo
_gethostbyname = socket.gethostbyname
_gethostbyname_ex = socket.gethostbyname_ex
_gethostbyaddr = socket.gethostbyaddr
_getfqdn = socket.getfqdn
_clock = time.monotonic

AddressInfo = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]
]


class _Lookup:
    """One question and its answer."""

    def __init__(self) -> None:
        self.answered = Event()
        self.value: Any = None
        self.error: Exception | None = None


_pool = ThreadPool(_AT_ONCE)
_kept: dict[Any, tuple[float, Any]] = {}
_under_way: dict[Any, _Lookup] = {}


def getaddrinfo(
    host: bytes | str | None,
    port: bytes | str | int | None,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,  # the standard's names
) -> list[AddressInfo]:
    """Like socket.getaddrinfo. Switches: unless `host` is None or a numeric address."""
    is_number = port is None or isinstance(port, int) or port.isdigit()
    if is_number and (host is None or _may_be_address(host)):
        try:
            found = _getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
            return cast(list[AddressInfo], found)
        except socket.gaierror as error:
            if error.errno != socket.EAI_NONAME:
                raise
    return list(_look_up(_getaddrinfo, host, port, family, type, proto, flags))


def getnameinfo(sockaddr: tuple[Any, ...], flags: int) -> tuple[str, str]:
    """Like socket.getnameinfo. Switches: unless only numbers are asked for."""
    if flags & socket.NI_NUMERICHOST and flags & socket.NI_NUMERICSERV:
        return _getnameinfo(sockaddr, flags)
    return cast(tuple[str, str], _look_up(_getnameinfo, sockaddr, flags))


def gethostbyname(hostname: str) -> str:
    """Like socket.gethostbyname. Switches: unless it is a numeric address."""
    if _is_ipv4(hostname):
        return hostname
    return cast(str, _look_up(_gethostbyname, hostname))


def gethostbyname_ex(hostname: str) -> tuple[str, list[str], list[str]]:
    """Like socket.gethostbyname_ex. Switches: always."""
    return _fresh(_look_up(_gethostbyname_ex, hostname))


def gethostbyaddr(ip_address: str) -> tuple[str, list[str], list[str]]:
    """Like socket.gethostbyaddr. Switches: always."""
    return _fresh(_look_up(_gethostbyaddr, ip_address))


def getfqdn(name: str = "") -> str:
    """Like socket.getfqdn. Switches: always."""
    return cast(str, _look_up(_getfqdn, name))


def clear_cache() -> None:
    """Forget all answers. Switches: never."""
    _kept.clear()


def _look_up(ask: Callable[..., Any], *question: Any) -> Any:
    key = ask, question
    kept = _kept.get(key)
    if kept is not None and _clock() < kept[0]:
        return kept[1]
    mine = _Lookup()
    lookup = _under_way.setdefault(key, mine)
    if lookup is mine:
        try:
            _pool.submit(partial(_ask, key, lookup))
        except RuntimeError as error:
            if has_begun():
                _ask(key, lookup)
            else:
                _end(key, lookup, error=error)
    lookup.answered.wait()
    if lookup.error is not None:
        # A new exception for each waiter: one raised in several green threads would collect all their tracebacks.
        raise type(lookup.error)(*lookup.error.args)
    return lookup.value


def _ask(key: tuple[Callable[..., Any], tuple[Any, ...]], lookup: _Lookup) -> None:
    ask, question = key
    try:
        value = ask(*question)
    except Exception as error:
        _end(key, lookup, error=error)
    else:
        if len(_kept) >= _KEPT_MOST:
            _kept.clear()
        _kept[key] = _clock() + KEPT, value
        _end(key, lookup, value)


def _end(key: object, lookup: _Lookup, value: Any = None, error: Exception | None = None) -> None:
    lookup.value = value
    lookup.error = error
    _under_way.pop(key, None)
    lookup.answered.set()


def _may_be_address(host: bytes | str) -> bool:
    text = host.decode("latin-1") if isinstance(host, bytes) else host
    return ":" in text or text.replace(".", "").isdigit()


def _is_ipv4(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, TypeError, ValueError):
        return False
    return True


def _fresh(found: tuple[str, list[str], list[str]]) -> tuple[str, list[str], list[str]]:
    name, aliases, addresses = found
    return name, list(aliases), list(addresses)


def _after_fork() -> None:
    _under_way.clear()  # their waiters do not exist in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
