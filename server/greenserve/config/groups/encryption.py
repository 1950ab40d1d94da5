"""Settings: TLS. Part of Config, in settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting

__all__ = ["TLSSettings"]

TLS = "TLS"


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # Config has these
class TLSSettings:
    """The server's certificates, the clients' certificates, versions and ciphers."""

    certfile: tuple[str, ...] = setting(
        (),
        kinds.files(),
        group=TLS,
        help="PEM file with a certificate and its chain. Every --bind then speaks TLS. May be given several times, "
        "for several names. The first one serves clients that send no name or an unknown one",
        flags=("--ssl-certfile",),
    )
    keyfile: tuple[str, ...] = setting(
        (),
        kinds.files(),
        group=TLS,
        help="PEM file with the private key, one for each certfile, in the same order; none if the certfiles "
        "hold their keys",
        flags=("--ssl-keyfile",),
    )
    keyfile_password_file: str = setting(
        "",
        kinds.file(),
        group=TLS,
        help="file whose first line is the password of encrypted private keys",
    )
    ca_certs: str = setting(
        "",
        kinds.file(),
        group=TLS,
        help="PEM file, or folder of PEM files, with the authorities whose client certificates are accepted",
        flags=("--ssl-ca-certs",),
    )
    client_cert: str = setting(
        "none",
        kinds.client_cert(),
        group=TLS,
        help="client certificates: none (not asked for), optional or required",
        flags=("--cert-reqs", "--ssl-cert-reqs"),
    )
    tls_min_version: str = setting(
        "1.2",
        kinds.tls_version(),
        group=TLS,
        help="lowest TLS version that is accepted: 1.2 or 1.3",
        protects="clients being downgraded to TLS 1.0 and 1.1, which are broken (RFC 8996)",
        precedent="gunicorn 1.2, granian 1.3",
    )
    ciphers: str = setting(
        "ECDHE+AESGCM:ECDHE+CHACHA20",
        kinds.text(),
        group=TLS,
        help="cipher suites of TLS 1.2, as an OpenSSL cipher list; TLS 1.3 has no weak ones",
        protects="recorded traffic being decrypted when the key leaks later: each of these has forward secrecy",
        precedent="hypercorn ECDHE+AESGCM",
        flags=("--ssl-ciphers",),
    )
    redirect_bind: tuple[str, ...] = setting(
        (),
        kinds.binds(least=0),
        group=TLS,
        help="plain HTTP address that redirects every request to https; may be given several times",
    )
