"""Names and addresses: socket.getaddrinfo and its kin, looked up in OS threads so that the hub goes on.

The system's resolver does the work, so /etc/hosts, search domains, nsswitch and scoped IPv6 addresses mean here what
they mean elsewhere. Called by green sockets. It has OS threads of its own: a name server that does not answer must not
take those of threads.execute().

Invariants: one lookup at a time of the same question, however many ask; an answer is kept for KEPT seconds, an error
never; whoever gives up waiting takes nothing from the others.
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
    5.0  # seconds; the resolver does not tell how long an answer holds, and a failover must be seen soon
)
_KEPT_MOST: Final = 1024  # answers
_AT_ONCE: Final = 16  # lookups; more wait their turn

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
    """One question that is being asked, and its answer."""

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
    """As socket.getaddrinfo. Switches: unless `host` is None or a numeric address."""
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
    """As socket.getnameinfo. Switches: unless only numbers are asked for."""
    if flags & socket.NI_NUMERICHOST and flags & socket.NI_NUMERICSERV:
        return _getnameinfo(sockaddr, flags)
    return cast(tuple[str, str], _look_up(_getnameinfo, sockaddr, flags))


def gethostbyname(hostname: str) -> str:
    """As socket.gethostbyname. Switches: unless it is a numeric address."""
    if _is_ipv4(hostname):
        return hostname
    return cast(str, _look_up(_gethostbyname, hostname))


def gethostbyname_ex(hostname: str) -> tuple[str, list[str], list[str]]:
    """As socket.gethostbyname_ex. Switches: always."""
    return _fresh(_look_up(_gethostbyname_ex, hostname))


def gethostbyaddr(ip_address: str) -> tuple[str, list[str], list[str]]:
    """As socket.gethostbyaddr. Switches: always."""
    return _fresh(_look_up(_gethostbyaddr, ip_address))


def getfqdn(name: str = "") -> str:
    """As socket.getfqdn. Switches: always."""
    return cast(str, _look_up(_getfqdn, name))


def clear_cache() -> None:
    """Forget every answer. Switches: never."""
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
        # One for each who asked: an exception raised in several green threads would gather all their tracebacks.
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
    _under_way.clear()  # those who asked have not come along


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
