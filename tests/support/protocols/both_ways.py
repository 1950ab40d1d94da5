"""Heads read both ways, by Python and by the compiled core, under every kind of setting: both must say the same."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

from greenserve.errors import ProtocolError
from greenserve.http1 import HeadLimits, RequestHead, read_whole_head
from greenserve.proxies import Trust
from greenserve.wsgi import Forwarding, Ordinary, base_environ, find_ordinary, make_environ

PORT = "4711"


class Setting(NamedTuple):
    """The settings that a head depends on, and the peer that sends it."""

    limits: HeadLimits
    forwarding: Forwarding
    base: dict[str, Any]
    peer: str


def _limits() -> list[HeadLimits]:
    wide, tight = (8190, 8190, 100, 65536), (40, 30, 3, 120)
    return [
        HeadLimits(*sizes, refuse_underscores=refuses, lenient=lenient)
        for sizes in (wide, tight, (200, 200, 2, 64))
        for refuses in (False, True)
        for lenient in (False, True)
    ]


def _forwardings() -> list[Forwarding]:
    trust = Trust(["192.0.2.0/24"])
    believed = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-custom")
    return [
        Forwarding(Trust(())),
        Forwarding(trust, believed),
        Forwarding(trust, believed, hops=1, request_id="X-Request-Id"),
        Forwarding(trust, ("x-real-ip",), request_id="Accept"),
        Forwarding(Trust(()), passes_all=True),
    ]


def all_settings() -> list[Setting]:
    """Every combination; each Forwarding and its tables are new."""
    plain = base_environ("http", "server.example", "8000", "greenserve/0", io.StringIO())
    secure = base_environ("https", "server.example", "443", "greenserve/0", io.StringIO())
    bases = [plain, {**secure, "HTTP_ACCEPT": "the base's", "SSL_PROTOCOL": "TLSv1.3"}]
    return [
        Setting(limits, forwarding, base, peer)
        for limits in _limits()
        for forwarding in _forwardings()
        for base in bases
        for peer in ("192.0.2.1", "198.51.100.7", "")
    ]


class BothWays:
    """One server's way with heads, twice."""

    def __init__(self, setting: Setting) -> None:
        """Nothing is ordinary yet."""
        self.setting = setting
        self.taken = 0  # heads that the core took
        found = find_ordinary(setting.limits, setting.forwarding)
        assert found is not None
        self.ordinary: Ordinary = found

    def read(self, stream: bytes) -> None:
        """Read a head both ways, and once more when it was learned. Raises AssertionError where they differ."""
        for _ in range(2):
            by_core, by_python = self._by_core(stream), self._by_python(stream)
            if by_core is not None:
                self.taken += 1
                assert by_core == by_python
            elif isinstance(by_python, tuple):
                found = read_whole_head(stream, self.setting.limits)
                assert found is not None
                self.ordinary.learn(found[0])

    def _by_core(self, stream: bytes) -> Any:
        _, _, base, peer = self.setting
        before = base.copy()
        whole = self.ordinary.take(stream, base, peer, PORT)
        assert base == before
        return None if whole is None else self._all_of(whole, whole.rest)

    def _by_python(self, stream: bytes) -> Any:
        try:
            whole = read_whole_head(stream, self.setting.limits) if stream else None
        except ProtocolError as error:
            return error.status
        return None if whole is None else self._all_of(*whole)

    def _all_of(self, head: RequestHead, rest: bytes) -> Any:
        _, forwarding, base, peer = self.setting
        facts = {
            name: getattr(head, name) for name in RequestHead.__slots__ if name not in ("environ", "dropped")
        }
        types = {name: type(value) for name, value in facts.items()}
        try:
            environ = list(make_environ(base, head, peer, PORT, forwarding).items())
        except ProtocolError as error:
            return facts, types, rest, error.status
        return facts, types, rest, head.has_body, environ
