"""The kinds of values that a setting can have: how each is parsed, printed and explained.

A Kind turns the raw value of a flag, variable, file or keyword into the value that the server uses, or raises
ValueError with the reason; an error shows its phrase `allowed`. It knows no single setting. Called by the modules of
groups/.

Invariant: parse(parse(x)) == parse(x), so a Config can be made of another's values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from greenserve.config.values import values
from greenserve.config.values.binds import parse_bind

__all__ = [
    "Kind",
    "account",
    "admin_address",
    "backdoor",
    "binds",
    "boolean",
    "choice",
    "client_cert",
    "count",
    "duration",
    "file",
    "files",
    "folder",
    "fraction",
    "items_of",
    "mode",
    "path_of",
    "rate",
    "secret",
    "size",
    "text",
    "tls_version",
    "umask",
    "variables",
    "workers",
]

LEAST_SECRET = 16  # characters


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one kind are parsed, printed (`format`) and described."""

    parse: Callable[[object], Any]
    format: Callable[[Any], str]
    metavar: str
    allowed: str
    unit: str = ""
    off: str = ""  # what `off` or 0 means; empty if it is refused
    zero: str = ""  # what the number 0 means, where `off` is refused; empty if it means no more than 0
    toml: bool = False  # True if TOML reads the output of `format` unquoted
    words: tuple[str, ...] = ()  # the values that a shell completes; empty if they can't be listed


def duration(off: str) -> Kind:
    """Return the kind of a time in seconds; `off` says what switching it off means."""
    allowed = f"a duration such as 30, 30s, 500ms, 5m or 1h; off: {off}"
    return Kind(values.parse_duration, values.format_duration, "TIME", allowed, "seconds", off)


def size(*, least: int = 0, off: str = "") -> Kind:
    """Return the kind of a size in bytes, at least `least`; `off` says what 0 means, and without it 0 is refused."""

    def parse(value: object) -> int:
        number = values.parse_size(value)
        if number == 0 and off:
            return 0
        if number < least:
            raise ValueError("too small" if number else "can't be switched off")
        return number

    floor = f", at least {least}" if least else ""
    allowed = f"a size such as 8190, 16K, 16M or 1G{floor}" + (f"; off: {off}" if off else "")
    return Kind(parse, values.format_size, "SIZE", allowed, "bytes", off)


def rate(off: str) -> Kind:
    """Return the kind of a rate in bytes a second; `off` says what switching it off means."""
    allowed = f"bytes a second such as 500 or 1K; off: {off}"
    return Kind(values.parse_size, values.format_size, "RATE", allowed, "bytes a second", off)


def count(*, least: int = 1, zero: str = "") -> Kind:
    """Return the kind of a whole number, at least `least`; `zero` says what 0 means, if that is not plain."""

    def parse(value: object) -> int:
        number = values.parse_count(value)
        if number < least:
            raise ValueError("too small")
        return number

    return Kind(parse, str, "N", f"a whole number, at least {least}", zero=zero, toml=True)


def workers() -> Kind:
    """Return the kind of a number of processes; 0 stands for `auto`."""

    def parse(value: object) -> int:
        return 0 if isinstance(value, str) and value.strip().lower() == "auto" else values.parse_count(value)

    return Kind(parse, lambda number: str(number or "auto"), "N", "a whole number, or auto", words=("auto",))


def fraction() -> Kind:
    """Return the kind of a part of a whole: a number from 0 to 1, or a percentage."""
    return Kind(values.parse_fraction, values.format_fraction, "PART", "a part such as 0.1 or 10%, at most 1")


def boolean() -> Kind:
    """Return the kind of a switch: `--x` and `--no-x`."""
    return Kind(values.parse_bool, values.format_bool, "", "true or false", toml=True)


def mode() -> Kind:
    """Return the kind of a file mode, in octal."""
    return Kind(values.parse_mode, values.format_mode, "MODE", "an octal mode such as 660")


def account() -> Kind:
    """Return the kind of a user or group, as name or number; empty for none."""

    def parse(value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(values.parse_count(value))
        if not isinstance(value, str) or not re.fullmatch(r"|[^\s:]+", value):
            raise ValueError("not a name or number")
        return value

    return Kind(parse, str, "NAME", "a name or a number")


def umask() -> Kind:
    """Return the kind of a umask, as octal text; empty for none."""

    def parse(value: object) -> str:
        return "" if value == "" else values.format_mode(values.parse_mode(value))

    return Kind(parse, str, "MODE", "an octal umask such as 027")


def variables() -> Kind:
    """Return the kind of a tuple of environment variables, each `NAME=VALUE`."""

    def parse(value: object) -> tuple[str, ...]:
        if isinstance(value, Mapping):
            value = [f"{name}={content}" for name, content in value.items()]
        items = (
            [value] if isinstance(value, str) and value else items_of(value or ())
        )  # a value may hold commas
        if items is None:
            raise ValueError("not NAME=VALUE")
        for item in items:
            if not isinstance(item, str) or not re.fullmatch(r"[^=\0]+=[^\0]*", item):
                raise ValueError(f"{item!r} is not NAME=VALUE")
        return tuple(items)

    return Kind(parse, ",".join, "NAME=VALUE", "NAME=VALUE, once or several times")


def choice(*names: str) -> Kind:
    """Return the kind of one word out of `names`."""

    def parse(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in names:
            raise ValueError("unknown")
        return word

    return Kind(parse, str, "NAME", ", ".join(names[:-1]) + f" or {names[-1]}", words=names)


def client_cert() -> Kind:
    """Return the kind of the policy for client certificates; it takes the numbers of the ssl module, too."""
    words = choice("none", "optional", "required")
    numbers = {"0": "none", "1": "optional", "2": "required"}

    def parse(value: object) -> str:
        number = str(int(value)) if isinstance(value, int) else value  # ssl.CERT_REQUIRED is an int as well
        return str(words.parse(numbers.get(number, number) if isinstance(number, str) else number))

    return replace(words, parse=parse)


def tls_version() -> Kind:
    """Return the kind of a TLS version; a file or a program may write it as a number."""
    words = choice("1.2", "1.3")

    def parse(value: object) -> str:
        return str(words.parse(str(value) if isinstance(value, float) else value))

    return replace(words, parse=parse, metavar="VERSION")


def binds(*, least: int = 1) -> Kind:
    """Return the kind of a tuple of listening addresses, at least `least`, each in its canonical form."""

    def parse(value: object) -> tuple[str, ...]:
        items = items_of(value) if value or least else []
        if items is None:
            raise ValueError("not an address")
        addresses: list[str] = []
        for item in items:
            if not isinstance(item, str):
                raise ValueError(f"{item!r} is not an address")
            try:
                address = parse_bind(item)
            except ValueError as error:
                raise ValueError(f"{item!r}: {error}") from None
            # Port 0 takes any free port, so it may be given twice.
            if str(address) in addresses and not (address.kind == "tcp" and address.port == 0):
                raise ValueError(f"{address} is given twice")
            addresses.append(str(address))
        if len(addresses) < least:
            raise ValueError("no address")
        return tuple(addresses)

    return Kind(
        parse,
        ",".join,
        "ADDRESS",
        "HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or fd://N, once or several times",
    )


def backdoor() -> Kind:
    """Return the kind of one listening address, or `off`."""

    def parse(value: object) -> str:
        if value is None or value is False or value == "off":
            return "off"
        if not isinstance(value, str):
            raise ValueError("not an address")
        return str(parse_bind(value))

    return Kind(parse, str, "ADDRESS", "unix:PATH, 127.0.0.1:PORT, [::1]:PORT or fd://N; or off")


def admin_address() -> Kind:
    """Return the kind of an address for the admin pages, or `off`."""

    def parse(value: object) -> str:
        if value is None or value is False or value == "off":
            return "off"
        if not isinstance(value, str):
            raise ValueError("not an address")
        address = parse_bind(value)
        if address.kind == "fd":
            raise ValueError("a descriptor does not say who can connect to it")
        return str(address)

    return Kind(parse, str, "ADDRESS", "127.0.0.1:PORT, HOST:PORT or unix:PATH; or off")


def secret() -> Kind:
    """Return the kind of a secret of at least 16 characters, which is never printed; empty for none."""

    def parse(value: object) -> str:
        if value == "":
            return ""
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise ValueError("not a line of ASCII text")
        if len(value.strip()) < LEAST_SECRET:
            raise ValueError("too short")
        return value.strip()

    return Kind(
        parse,
        lambda value: "*****" if value else "",
        "TOKEN",
        f"at least {LEAST_SECRET} ASCII characters, such as "
        'python -c "import secrets; print(secrets.token_urlsafe())" prints',
    )


def folder() -> Kind:
    """Return the kind of a folder's path; empty for the current folder."""
    return Kind(path_of, str, "FOLDER", "the path of a folder")


def file() -> Kind:
    """Return the kind of a file's path; empty for none."""
    return Kind(path_of, str, "FILE", "the path of a file")


def files() -> Kind:
    """Return the kind of a tuple of paths."""

    def parse(value: object) -> tuple[str, ...]:
        items = [value] if isinstance(value, os.PathLike) else items_of(value or ())
        if items is None:
            raise ValueError("not a path")
        paths = tuple(path_of(item) for item in items)
        if "" in paths:
            raise ValueError("an empty path")
        return paths

    return Kind(parse, ",".join, "FILE", "the path of a file, once or several times")


def text() -> Kind:
    """Return the kind of a line of text that is not empty."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise ValueError("not a line of text")
        return value.strip()

    return Kind(parse, str, "TEXT", "a line of text")


def items_of(value: object) -> list[Any] | None:
    """Return the elements of a list, or of a text with commas; None for anything else."""
    if isinstance(value, str):
        return value.split(",")
    return list(value) if isinstance(value, Iterable) and not isinstance(value, bytes) else None


def path_of(value: object) -> str:
    """Return a path as text. Raises ValueError for anything else."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise ValueError("not a path")
    if "\0" in value:
        raise ValueError("a path can't hold a NUL")
    return value
