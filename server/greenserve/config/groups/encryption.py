"""The settings of the registry that say how a server speaks TLS. Part of Config: see settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from greenserve.config.values import kinds
from greenserve.config.values.registry import setting

__all__ = ["TLSSettings"]

TLS = "TLS"


@dataclass(frozen=True, kw_only=True)
class TLSSettings:
    """Certificates, who may come, and what is offered to them."""

    certfile: tuple[str, ...] = setting(
        (),
        kinds.files(),
        group=TLS,
        help="PEM file with a certificate and the chain behind it: every --bind then speaks TLS; several times for "
        "several names, the first for clients that ask for no name or another",
        flags=("--ssl-certfile",),
    )
    keyfile: tuple[str, ...] = setting(
        (),
        kinds.files(),
        group=TLS,
        help="PEM file with the private key, one for each certfile in their order; none where the certfiles hold them",
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
        help="PEM file, or folder of them, with the authorities that client certificates are checked against",
        flags=("--ssl-ca-certs",),
    )
    client_cert: str = setting(
        "none",
        kinds.client_cert(),
        group=TLS,
        help="whether clients are asked for a certificate, and have to have one",
        flags=("--cert-reqs", "--ssl-cert-reqs"),
    )
    tls_min_version: str = setting(
        "1.2",
        kinds.tls_version(),
        group=TLS,
        help="the oldest version of TLS that is spoken",
        protects="clients that are talked into TLS 1.0 and 1.1, which are broken (RFC 8996)",
        precedent="gunicorn 1.2, granian 1.3",
    )
    ciphers: str = setting(
        "ECDHE+AESGCM:ECDHE+CHACHA20",
        kinds.text(),
        group=TLS,
        help="what TLS 1.2 may use, in OpenSSL's words; TLS 1.3 has no weak ones",
        protects="recorded traffic that is read when the key leaks later: each of these has forward secrecy",
        precedent="hypercorn ECDHE+AESGCM",
        flags=("--ssl-ciphers",),
    )
    redirect_bind: tuple[str, ...] = setting(
        (),
        kinds.binds(least=0),
        group=TLS,
        help="address that answers every request in plain HTTP with a redirect to https, may be given several times",
    )
