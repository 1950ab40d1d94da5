"""AdminClient: asks the admin pages of a server that runs, at a port or a unix socket.

Where they are, and the token, come from the settings of the server itself (variables, greenserve.toml), unless flags
say otherwise: in the server's container or folder `greenserve health` needs none. A probe runs no code that it does not
need: with --admin no file of settings is read unless --config names it, and greenserve_conf.py is run only if
admin_bind stands nowhere else. Paths in the settings count from chdir, as for the server.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import http.client
import json
import os
import socket
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NoReturn

from greenserve.config import SETTINGS, Config, load_config
from greenserve.config.tokens import token_of
from greenserve.config.values.binds import BindAddress, parse_bind
from greenserve.config.values.registry import Given, environment
from greenserve.errors import ConfigError

__all__ = ["AdminClient", "parser", "printable", "told"]

_NEEDED = ("admin_bind", "admin_token", "admin_token_file", "chdir")
_SHOWN = 500  # characters
_LONGEST = 64 << 20  # bytes of an answer


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """Return the parser of a subcommand that asks the admin pages; it raises ConfigError."""
    made = _Parser(prog=f"greenserve {name}", description=about, allow_abbrev=False)
    made.add_argument("--admin", metavar="ADDRESS", help="address of the admin pages; default: admin_bind")
    made.add_argument("--token-file", metavar="FILE", help="file with their token; default: admin_token_file")
    made.add_argument("-c", "--config", metavar="FILE", help="file to read instead of greenserve.toml")
    return made


def _settings(flags: dict[str, Given], file: str | None) -> Config:
    if "admin_bind" in flags and file is None:
        variables = environment([SETTINGS[name] for name in _NEEDED], os.environ)
        config = Config.from_layers([flags, variables])[0]
    else:
        config = load_config(flags, file=file, wanted="admin_bind").config
    place, token_file = config.admin_bind, config.admin_token_file
    if "admin_bind" not in flags and place.startswith("unix:") and not place.startswith("unix:@"):
        place = f"unix:{os.path.join(config.chdir, place[5:])}"
    if "admin_token_file" not in flags and token_file:
        token_file = os.path.join(config.chdir, token_file)
    return dataclasses.replace(config, admin_bind=place, admin_token_file=token_file)


class AdminClient:
    """The admin pages of one server."""

    def __init__(self, options: argparse.Namespace, timeout: float) -> None:
        """`options` of parser(); `timeout` in seconds for a whole request. Raises ConfigError."""
        flags = {}
        if options.admin is not None:
            flags["admin_bind"] = Given(options.admin, "flag --admin")
        if options.token_file is not None:
            flags["admin_token_file"] = Given(options.token_file, "flag --token-file")
            flags["admin_token"] = Given("", "flag --token-file")
        config = _settings(flags, options.config)
        if config.admin_bind == "off":
            raise ConfigError("where are the admin pages? Give --admin, or set admin_bind")
        self.address = parse_bind(config.admin_bind)
        self._token = token_of(config)
        self._timeout = timeout

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of a page. Raises OSError, also for what is no HTTP, and TimeoutError."""
        connection = _Connection(self.address, self._timeout)
        answers: SimpleQueue[tuple[int, str] | OSError] = SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._ask(connection, path))
            except OSError as error:
                answers.put(error)

        # A socket's timeout is for one step; a name's look-up has none at all.
        Thread(target=ask, daemon=True).start()
        try:
            answer = answers.get(timeout=self._timeout)
        except Empty:
            connection.give_up()
            raise TimeoutError(f"no whole answer within {self._timeout:g} s") from None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _ask(self, connection: _Connection, path: str) -> tuple[int, str]:
        fields = {"Host": "localhost", "Connection": "close"}
        if self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request("GET", path, headers=fields)
            response = connection.getresponse()
            return response.status, response.read(_LONGEST).decode("utf-8", "replace")
        except http.client.HTTPException as error:
            raise OSError(f"this is no HTTP: {error!r}") from None
        finally:
            connection.close()

    def get_json(self, path: str) -> Any:
        """Return what a page of JSON holds. Raises OSError, also for any status but 200."""
        status, text = self.get(path)
        if status != 200:
            raise OSError(f"{path} answers {status}: {text.strip()}")
        try:
            return json.loads(text)
        except ValueError:
            raise OSError(f"{path} is no JSON: are these greenserve's admin pages?") from None


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: BindAddress, timeout: float) -> None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
        super().__init__(host or "localhost", address.port or None, timeout=timeout)
        self._address = address

    def connect(self) -> None:
        if self._address.kind != "unix":
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address.sockaddr)

    def give_up(self) -> None:
        """End what another thread does with it."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def told(error: OSError) -> str:
    """Return an error for the user, in one line."""
    return printable(str(error.strerror or error)) or type(error).__name__


def printable(text: str) -> str:
    """Return the beginning of a stranger's text in one line, without what would command the terminal."""
    return "".join(one if one.isprintable() else "?" for one in " ".join(text.split())[:_SHOWN])
