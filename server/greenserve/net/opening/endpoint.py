"""What the connections of one listening address have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenserve.net.tls.contexts import TLS

_ENVIRONS: Final = 64  # kept; versions times ciphers times names are a dozen


class Endpoint:
    """One address, as its connections see it."""

    __slots__ = ("_tls_environs", "environ", "submit", "tls")

    def __init__(self, environ: dict[str, Any], tls: TLS | None, submit: Callable[[Any], None]) -> None:
        """`environ` is what all requests share; `submit` is called with each request that is complete."""
        self.environ = environ
        self.tls = tls
        self.submit = submit
        self._tls_environs: dict[tuple[str, ...], dict[str, Any]] = {}

    def environ_over_tls(
        self, environ: dict[str, Any], values: dict[str, str], client: dict[str, str]
    ) -> dict[str, Any]:
        """A connection's `environ` with what is known of its session, and of the client's certificate.

        One for all connections that have the same.
        """
        if client or environ is not self.environ:
            return {**environ, **values, **client}
        key = tuple(values.values())
        found = self._tls_environs.get(key)
        if found is None:
            if len(self._tls_environs) >= _ENVIRONS:
                self._tls_environs.clear()  # the names in them are the clients' to choose
            found = self._tls_environs[key] = environ | values
        return found
