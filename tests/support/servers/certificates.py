"""Certificates for tests: one authority for the whole run, and what it issues."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path
from typing import Any

import trustme


@cache
def authority() -> trustme.CA:
    """The one that test clients and servers trust."""
    return trustme.CA(organization_name="greenserve tests")


def issue(file: Path, *names: str, by: trustme.CA | None = None, **facts: Any) -> Path:
    """A certificate for `names`, with its chain and its key, in one file."""
    certificate = (by or authority()).issue_cert(*names, **facts)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(file))
    return file


def issue_pair(certfile: Path, keyfile: Path, *names: str, **facts: Any) -> None:
    """The same in two files."""
    certificate = authority().issue_cert(*names, **facts)
    certificate.private_key_pem.write_to_path(str(keyfile))
    pem = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    certfile.write_bytes(pem)


def authority_file(file: Path, by: trustme.CA | None = None) -> Path:
    """The authority's own certificate."""
    (by or authority()).cert_pem.write_to_path(str(file))
    return file


def client_context(certfile: Path | None = None, **attributes: Any) -> ssl.SSLContext:
    """A client that trusts the authority, with a certificate of its own, and attributes of the context set."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    if certfile is not None:
        context.load_cert_chain(certfile)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context
