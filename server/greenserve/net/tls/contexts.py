"""The TLS contexts of a server's listeners, which may change while it runs.

From the settings' files, which are looked at every few seconds, or an embedding program's own context, which is taken
as it is. The invariant: there is always a context that works; what cannot take its place is told of and forgotten.
Connections keep the one that they began with.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.net.tls.certificates import load_certificates, watched_files
from greenserve_hub.deadlines import Deadline
from greenserve_hub.greenthreads.greenthreads import spawn_n
from greenserve_hub.loop.hub import Hub
from greenserve_hub.unpatched import _thread

log = logging.getLogger("greenserve.error")

# What the contexts of all copies of the module are: original("ssl") and import_patched("ssl") make their own classes.
_IN_C: Final[type] = ssl.SSLContext.__mro__[1]
# Seconds. Certificates are renewed days ahead; a look costs some microseconds.
LOOK_EVERY: Final = 2.0
_RENEW_BEFORE: Final = 3.0  # days; ACME clients renew a month ahead, so by then something has gone wrong
# What tells that a file is another: of the file itself, however many symbolic links are on the way to it.
_Look = tuple[tuple[str, int, int, int, int] | tuple[str], ...]


class TLS(Protocol):
    """One server's TLS."""

    def context_for(self, name: str) -> ssl.SSLContext:
        """The context for a client that asks for `name`, "" for none."""

    def reload(self) -> None:
        """Read the certificates again. Blocks. Raises ConfigError, with everything as it was."""

    def watch(self, hub: Hub, changed: Callable[[], object]) -> None:
        """Watch the files from now on, and run `changed` in a green thread when they have changed. Switches: never."""

    def close(self) -> None:
        """Stop watching. Switches: never."""


class ContextTLS:
    """TLS with a context of the embedding program's own."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """It is taken as it is."""
        self._context = context

    def context_for(self, name: str) -> ssl.SSLContext:
        """See TLS. What the name means is for the context's own callback."""
        return self._context

    def reload(self) -> None:
        """Nothing to read. Raises ConfigError."""
        raise ConfigError(
            "this server was given an ssl_context: load certificates into that, new connections show them"
        )

    def watch(self, hub: Hub, changed: Callable[[], object]) -> None:
        """There are no files."""

    def close(self) -> None:
        """There are no files."""


class FileTLS:
    """TLS with the certificates that the settings name."""

    def __init__(self, config: Config) -> None:
        """Reads the files: blocks. Raises ConfigError."""
        self._config = config
        self._lock = _thread.allocate_lock()
        self._used = self._changed = _look(config)
        self._certificates = load_certificates(config)
        self._warn()
        self._deadline: Deadline | None = None

    def context_for(self, name: str) -> ssl.SSLContext:
        """See TLS."""
        return self._certificates.context_for(name)

    def reload(self) -> None:
        """Read the certificates anew, for connections from now on. From any OS thread. Blocks.

        Raises ConfigError, with everything as it was.
        """
        with self._lock:
            used = _look(self._config)
            self._certificates = load_certificates(self._config)
            self._used = self._changed = used
        log.info("certificates reloaded: %s", self._certificates)
        self._warn()

    def watch(self, hub: Hub, changed: Callable[[], object]) -> None:
        """See TLS."""
        self._deadline = hub.call_after(LOOK_EVERY, self._look_again, hub, changed)

    def close(self) -> None:
        """Look no more. Switches: never."""
        if self._deadline is not None:
            self._deadline.cancel()

    def _look_again(self, hub: Hub, changed: Callable[[], object]) -> None:
        self.watch(hub, changed)
        now = _look(self._config)
        if now != self._changed:
            self._changed = now  # a certificate and its key are replaced one after the other: wait for both
        elif now != self._used:
            self._used = now
            spawn_n(changed)

    def _warn(self) -> None:
        seen: set[str] = set()
        for number, certificate in enumerate(self._certificates.every):
            names = {name.lower() for name in certificate.names}
            if number and names <= seen:
                log.warning("%s is never used: earlier certificates cover all its names", certificate.file)
            seen |= names
            days = certificate.days_left
            if days < 0:
                log.warning("%s: the certificate has expired: %s", certificate.file, certificate)
            elif days < _RENEW_BEFORE:
                log.warning("%s: the certificate expires soon: %s", certificate.file, certificate)


def open_tls(config: Config, context: ssl.SSLContext | None) -> TLS | None:
    """The TLS that the settings or a program ask for; None for none. Blocks. Raises ConfigError."""
    if context is not None:
        if config.certfile:
            raise ConfigError("give certfile or ssl_context, not both")
        if not isinstance(context, _IN_C):
            raise ConfigError(f"ssl_context must be an ssl.SSLContext, not {type(context).__name__}")
        if config.client_cert != "none":
            raise ConfigError(
                "client_cert and ca_certs go with certfile: an ssl_context has its own verify_mode"
            )
        return ContextTLS(context)
    if config.certfile:
        return FileTLS(config)
    for name, given in (
        ("redirect_bind", config.redirect_bind),
        ("client_cert", config.client_cert != "none"),
    ):
        if given:
            raise ConfigError(f"{name} needs TLS: give a certfile")
    return None


def _look(config: Config) -> _Look:
    found: list[tuple[str, int, int, int, int] | tuple[str]] = []
    for path in watched_files(config):
        try:
            status = os.stat(path)
        except OSError:
            found.append((str(path),))
        else:
            found.append((str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
