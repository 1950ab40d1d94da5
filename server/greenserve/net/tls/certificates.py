"""From PEM files to SSLContexts: what a server shows its clients, and whom of them it believes.

Knows files and OpenSSL, no sockets and no hub; called when a server starts, by `--check-config`, and again whenever the
files have changed, in an OS thread. Everything that can go wrong here is the user's to mend, so every error is a
ConfigError that says which file and what to do. The invariant: a context that comes out of here has shaken hands once.

Facts: the ssl module tells what stands in a certificate only of one that a handshake has verified, and the names in it
decide which certificate a client is shown. Decision: each is tried out at once, in memory, by a client that trusts this
one certificate; so no second library has to read it, and a pair that cannot serve is found before it is used.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from greenserve.config import Config
from greenserve.errors import ConfigError

ALPN: Final = ("http/1.1",)  # the protocols that are offered to clients (RFC 7301)

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module has no name for
_WRONG_PASSWORD: Final = "the password in keyfile_password_file does not open the private key {key}"
_ADVICE: Final = {
    "KEY_VALUES_MISMATCH": "the private key {key} does not belong to it; is another certfile's key in its place?",
    "EE_KEY_TOO_SMALL": "its key is too short to be safe; make one with RSA of 2048 bits or more, or P-256",
    "CA_MD_TOO_WEAK": "it is signed with a hash that is no longer safe; have it issued anew",
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certfile with its key, ready to be used."""

    file: str
    names: tuple[str, ...]  # of its subjectAltName: DNS names, with their wildcards, and addresses
    until: str  # when it expires, as the ssl module writes it
    context: ssl.SSLContext

    @property
    def days_left(self) -> float:
        """Until it expires; negative when it has."""
        return (ssl.cert_time_to_seconds(self.until) - time.time()) / 86400

    def __str__(self) -> str:
        """For the log."""
        return f"{', '.join(self.names) or self.file} until {self.until}"


class Certificates:
    """All that a server has, and which of them a client is shown."""

    def __init__(self, every: Sequence[Certificate]) -> None:
        """The first one is for clients that ask for no name, or one that nobody has."""
        self.every = every
        self._exact: dict[str, ssl.SSLContext] = {}
        self._wildcard: dict[str, ssl.SSLContext] = {}  # by what follows the asterisk
        for certificate in every:
            for name in certificate.names:
                name = name.lower()
                if name.startswith("*."):
                    self._wildcard.setdefault(name[1:], certificate.context)
                else:
                    self._exact.setdefault(name, certificate.context)

    def context_for(self, name: str) -> ssl.SSLContext:
        """Of the certificate that has the name a client asks for, "" for none."""
        name = name.lower().rstrip(".")
        # A wildcard stands for one whole label, the first (RFC 9525 §6.3); who is named exactly goes before it.
        found = self._exact.get(name) or self._wildcard.get(name[max(0, name.find(".")) :])
        return found or self.every[0].context

    def __str__(self) -> str:
        """For the log."""
        return "; ".join(map(str, self.every))


def load_certificates(config: Config) -> Certificates:
    """All that the settings name, in their order. Blocks. Raises ConfigError."""
    password = _password(config.keyfile_password_file)
    keys = config.keyfile or config.certfile
    authorities = _authorities(config.ca_certs)
    found = []
    for certfile, keyfile in zip(config.certfile, keys, strict=True):
        context = _context(config, authorities)
        _load_pair(context, certfile, keyfile, password)
        names, until = _inspect(certfile, keyfile, password)
        found.append(Certificate(certfile, names, until, context))
    return Certificates(found)


def watched_files(config: Config) -> Iterable[Path]:
    """Every file that load_certificates() reads."""
    for name in (*config.certfile, *config.keyfile, config.keyfile_password_file, config.ca_certs):
        if name:
            path = Path(name)
            yield path
            if name == config.ca_certs and path.is_dir():
                yield from _pem_files(path)


def _context(config: Config, authorities: Sequence[tuple[str, str]]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.tls_min_version]
    # Compressing before encrypting tells secrets by their length (CRIME); a renegotiation lets a client ask for one
    # handshake after another, and nobody needs it.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.set_ciphers(config.ciphers)
    except ssl.SSLError:
        raise ConfigError(
            f"ciphers = {config.ciphers!r}: OpenSSL knows none of these; `openssl ciphers` lists them"
        ) from None
    context.set_alpn_protocols(list(ALPN))
    for file, text in authorities:
        try:
            context.load_verify_locations(cadata=text)
        except ssl.SSLError as error:
            raise ConfigError(
                f"ca_certs: {file}: {_reason(error)}; it must hold certificates in PEM form"
            ) from None
    context.verify_mode = _VERIFY[config.client_cert]
    return context


# The files -----------------------------------------------------------------------------------------------


def _read(setting: str, name: str) -> str:
    try:
        return Path(name).read_text("latin-1")
    except OSError as error:
        advice = (
            " (the user who runs the server must be allowed to read it)"
            if isinstance(error, PermissionError)
            else ""
        )
        raise ConfigError(f"{setting}: {name}: {error.strerror}{advice}") from None


def _password(name: str) -> bytes | None:
    if not name:
        return None
    lines = _read("keyfile_password_file", name).splitlines()
    if not lines:
        raise ConfigError(f"keyfile_password_file: {name}: it is empty; its first line is the password")
    return lines[0].encode("latin-1")


def _authorities(name: str) -> list[tuple[str, str]]:
    if not name:
        return []
    path = Path(name)
    files = _pem_files(path) if path.is_dir() else [path]
    found = [(str(file), _read("ca_certs", str(file))) for file in files]
    found = [(file, text) for file, text in found if "-----BEGIN CERTIFICATE-----" in text]
    if not found:
        raise ConfigError(f"ca_certs: {name}: no certificate in PEM form (*.pem, *.crt in a folder) is there")
    return found


def _pem_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in (".pem", ".crt") and path.is_file())
    except OSError as error:
        raise ConfigError(f"ca_certs: {folder}: {error.strerror}") from None


def _load_pair(context: ssl.SSLContext, certfile: str, keyfile: str, password: bytes | None) -> None:
    if "-----BEGIN CERTIFICATE-----" not in _read("certfile", certfile):
        raise ConfigError(f"certfile: {certfile}: no certificate in PEM form is in it")
    key = _read("keyfile", keyfile)
    if "PRIVATE KEY-----" not in key:
        where = "give its --keyfile" if keyfile == certfile else "it begins with -----BEGIN PRIVATE KEY-----"
        raise ConfigError(f"keyfile: {keyfile}: no private key in PEM form is in it; {where}")
    encrypted = "-----BEGIN ENCRYPTED" in key or "Proc-Type: 4,ENCRYPTED" in key
    if encrypted and password is None:
        raise ConfigError(
            f"keyfile: {keyfile}: the private key is encrypted; give its password in --keyfile-password-file"
        )
    try:
        # A password always, or OpenSSL would ask for it at the terminal.
        context.load_cert_chain(certfile, keyfile, password or b"")
    except (OSError, ValueError) as error:
        advice = _ADVICE.get(getattr(error, "reason", None) or "")
        if advice is None:
            advice = _WRONG_PASSWORD if encrypted else "{reason}; is it damaged?"
        raise ConfigError(
            f"certfile: {certfile}: {advice.format(key=keyfile, reason=_reason(error))}"
        ) from None


# What stands in it -----------------------------------------------------------------------------------------


def _inspect(certfile: str, keyfile: str, password: bytes | None) -> tuple[tuple[str, ...], str]:
    """The names and the end of a certificate, as a client finds them."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    try:
        server.load_cert_chain(certfile, keyfile, password or b"")
        own = _shake_hands(server, client).getpeercert(binary_form=True)
        assert own is not None
        client.load_verify_locations(cadata=own)
        client.verify_mode = ssl.CERT_REQUIRED
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        seen = _shake_hands(server, client).getpeercert()
    except (OSError, ValueError) as error:
        raise ConfigError(f"certfile: {certfile}: clients would refuse it: {_reason(error)}") from None
    assert seen is not None
    names = tuple(str(entry[1]) for entry in seen.get("subjectAltName", ()))
    return names, str(seen["notAfter"])


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Let the two meet in memory; the client's side."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(back, there)
    far = server.wrap_bio(there, back, server_side=True)
    for side in (near, far) * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return near


def _reason(error: Exception) -> str:
    verdict = getattr(error, "verify_message", None)
    return str(verdict or getattr(error, "reason", None) or error)
