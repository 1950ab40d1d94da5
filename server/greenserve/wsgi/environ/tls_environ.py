"""The environ keys for TLS and the client's certificate, with the names of Apache's mod_ssl.

Called by net/ once for each connection. Knows a finished handshake, no socket. The invariant: every value is printable
ASCII, and no text of a certificate's holder can pass for another part of a name (RFC 4514 §2.4). A client's header
fields become HTTP_... keys, so they can't forge any of these.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any, Final

# RFC 4514 §3; other types keep the ssl module's name.
_SHORT: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
_SPECIAL: Final = re.compile(r'["+,;<>\\]|^[ #]| $')
_NOT_PLAIN: Final = re.compile(r"[^ -~]")
_PLAIN: Final = re.compile(r"[ -~]*")
_ALTERNATIVES: Final = {"DNS": "DNS", "email": "Email", "URI": "URI"}


def tls_environ(session: ssl.SSLObject, server_name: str) -> dict[str, str]:
    """The SSL_ variables of a connection, without a client's certificate: the same for many connections."""
    cipher = session.cipher()
    return {
        "SSL_PROTOCOL": session.version() or "",
        "SSL_CIPHER": cipher[0] if cipher is not None else "",
        "SSL_TLS_SNI": server_name,
        "SSL_CLIENT_VERIFY": "NONE",
    }


def client_environ(session: ssl.SSLObject) -> dict[str, str]:
    """The SSL_CLIENT_ variables of a client whose certificate was verified; empty for any other client."""
    certificate: Mapping[str, Any] | None = session.getpeercert()
    if not certificate:
        return {}
    encoded = session.getpeercert(binary_form=True)
    assert encoded is not None
    found = {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_S_DN": distinguished_name(certificate["subject"]),
        "SSL_CLIENT_I_DN": distinguished_name(certificate["issuer"]),
        "SSL_CLIENT_M_SERIAL": certificate["serialNumber"],
        "SSL_CLIENT_V_START": certificate["notBefore"],
        "SSL_CLIENT_V_END": certificate["notAfter"],
        "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(encoded),
    }
    counts = dict.fromkeys(_ALTERNATIVES, 0)
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in counts and _PLAIN.fullmatch(value):
            found[f"SSL_CLIENT_SAN_{_ALTERNATIVES[kind]}_{counts[kind]}"] = value
            counts[kind] += 1
    return found


def distinguished_name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """A subject or issuer of the ssl module, in the string form of RFC 4514: the last part first."""
    return ",".join(
        "+".join(f"{_SHORT.get(kind, kind)}={_escape(value)}" for kind, value in part)
        for part in reversed(name)
    )


def _escape(value: str) -> str:
    return _NOT_PLAIN.sub(_hex, _SPECIAL.sub(r"\\\g<0>", value))


def _hex(match: re.Match[str]) -> str:
    return "".join(f"\\{byte:02X}" for byte in match[0].encode("utf-8", "replace"))
