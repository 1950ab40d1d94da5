"""Access: who may ask the admin pages for what.

Health is for everybody. All else needs the token, or a unix socket with a file, whose mode says who may connect: an
abstract one has none, and every user of the machine can connect. Against web pages that a browser of this machine has
open:

- DNS rebinding: at a loopback address Host has to be an address, `localhost`, or the name that is bound; a name of the
  page's own choice is refused.
- Forged requests: a POST that a browser sends for another site is refused, by Sec-Fetch-Site and Origin.

The token comes as `Authorization: Bearer TOKEN`, or as the password of Basic, which browsers and Prometheus can send.
It is compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from webob import Request

from greenserve.config.values.binds import BindAddress

__all__ = ["Access", "Refused"]

_PORT: Final = re.compile(r":\d*\Z", re.ASCII)
_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="greenserve admin", charset="UTF-8"')
_NO_TOKEN: Final = (
    "Only /healthz and /readyz are answered here. For the rest give the server an --admin-token-file, "
    "or bind --admin-bind to a unix socket with a file (unix:PATH)."
)
_WRONG_TOKEN: Final = (
    "The admin token is needed: as the password, with any user name, or as Authorization: Bearer TOKEN."
)
_FOREIGN_HOST: Final = (
    "Ask by an IP address or as localhost: this name may be another site's (DNS rebinding)."
)
_FOREIGN_SITE: Final = "A page of another site has sent this request: it is refused."


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """A request that is not answered: with this status, a line, and more fields."""

    status: int
    reason: str
    fields: Sequence[tuple[str, str]] = ()


class Access:
    """The rules of one address."""

    def __init__(self, address: BindAddress, token: str) -> None:
        """`token` is "" for none."""
        self.take(token)
        self.has_file = address.kind == "unix" and not address.abstract
        self._is_loopback = address.kind == "tcp" and address.is_local
        self._name = address.host.lower()

    def take(self, token: str) -> None:
        """From now on this token is asked for, and no other; "" for none."""
        self._token = token.encode()

    def check_host(self, request: Request) -> None:
        """Raise Refused if a page of another site may have sent the request (DNS rebinding)."""
        if self._is_loopback and not self._is_own_host(request):
            raise Refused(403, _FOREIGN_HOST)

    def check(self, request: Request) -> None:
        """Raise Refused unless the request may be answered with what only operators may know."""
        self.check_host(request)
        if self._token:
            if not hmac.compare_digest(_given(request), self._token):
                raise Refused(401, _WRONG_TOKEN, [_CHALLENGE])
        elif not self.has_file:
            raise Refused(403, _NO_TOKEN)
        if request.method not in ("GET", "HEAD"):
            _check_site(request)

    def _is_own_host(self, request: Request) -> bool:
        host = _PORT.sub("", request.headers.get("Host", "")).lower()
        if host in ("", "localhost", self._name):
            return True
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return False
        return True


def _given(request: Request) -> bytes:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return bytes(value.strip().encode("latin-1", "replace"))
    if kind.lower() == "basic":
        try:
            return bytes(base64.b64decode(value.strip(), validate=True).partition(b":")[2])
        except (binascii.Error, ValueError):
            return b""
    return b""


def _check_site(request: Request) -> None:
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    if site not in ("same-origin", "none"):
        raise Refused(403, _FOREIGN_SITE)
    if origin is not None and origin.partition("://")[2].lower() != request.headers.get("Host", "").lower():
        raise Refused(403, _FOREIGN_SITE)
