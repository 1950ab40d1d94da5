"""Which heads are ordinary: the compiled core takes these, and make_environ() finds their environ done.

The core knows the form of a head and no rule. What it takes for ordinary it has learned here, from heads that Python
has taken under the settings in force: the spelling of a field's name with its key in environ, and the text of a Host
field. So a head with a new name is Python's, and the next one is the core's. Whatever a setting refuses or changes is
never learned.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from greenserve.core import core
from greenserve.http1 import HeadLimits, Meaning, RequestHead, fields_of, meaning_of, target_characters
from greenserve.wsgi.environ.forwarding import Forwarding

if TYPE_CHECKING:
    from greenserve._core import OrdinaryHeads

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# What a field means to the core: numbers of ordinary_heads.c. A field without a key is kept for Forwarding.
_PLAIN, _HOST, _LENGTH, _CONNECTION, _DROPPED = range(5)
_KINDS: Final = {
    Meaning.NONE: _PLAIN,
    Meaning.HOST: _HOST,
    Meaning.LENGTH: _LENGTH,
    Meaning.CONNECTION: _CONNECTION,
}


class Ordinary:
    """The ordinary heads of one server."""

    __slots__ = ("_forwarding", "_heads", "receive", "take")

    def __init__(self, heads: OrdinaryHeads, forwarding: Forwarding) -> None:
        """`take(data, environ, peer, peer_port)` returns a head, or None if Python is to read it; `environ` and the
        peer as make_environ is given them. `receive(fd, …)` reads a socket first, and returns a head or bytes.
        """
        self._heads = heads
        self._forwarding = forwarding
        self.take = heads.take
        self.receive = heads.receive

    @property
    def received(self) -> int:
        """Return how many bytes the last receive() has read."""
        return self._heads.received

    def learn(self, head: RequestHead) -> None:
        """Take the names and the Host of this head, which Python has taken, for ordinary from now on."""
        heads, forwarding = self._heads, self._forwarding
        if not heads.is_unknown:
            return  # it was left to Python for another reason
        for name, value in head.fields:
            kind = _KINDS.get(meaning_of(name))
            if kind is None:
                continue
            key = forwarding.keys.get(name) or forwarding.key_of(name)
            heads.learn_field(name, key, kind if key else _DROPPED)
            if kind == _HOST:
                heads.learn_host(value)


def find_ordinary(limits: HeadLimits, forwarding: Forwarding) -> Ordinary | None:
    """Return what is ordinary under these settings; None if every head is Python's."""
    if core is None or limits.only_http10:
        return None
    heads: OrdinaryHeads = core.OrdinaryHeads(
        target_characters(),
        _METHODS,
        min(limits.shortest, limits.head),
        limits.fields,
        secrets.randbits(64),
        lambda raw: fields_of(raw, limits),
    )
    return Ordinary(heads, forwarding)
