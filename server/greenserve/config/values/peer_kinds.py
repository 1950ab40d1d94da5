"""The kinds of values that name peers: proxies, the fields that they set, and sites whose pages may connect.

Called by groups/proxies.py and groups/websockets.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from greenserve.config.values import values
from greenserve.config.values.kinds import Kind
from greenserve.proxies import FORWARDED, X_FIELDS, canonical_peer

__all__ = ["field_names", "origins", "peers"]

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^\s/?#@:\[\]]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII)
# RFC 9110 §5.6.2, without the underscore: fields with one are dropped.
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^`|~0-9a-z]{1,64}", re.ASCII)


def peers() -> Kind:
    """Return the kind of a tuple of addresses, networks, `unix` and `*`, each in its canonical form; empty for none."""

    def parse(value: object) -> tuple[str, ...]:
        return tuple(dict.fromkeys(canonical_peer(item) for item in _words(value)))

    return Kind(
        parse,
        _format_words,
        "ADDRESSES",
        "addresses, networks such as 10.0.0.0/8, unix, or *, with commas between; or off",
        off="no peer is trusted",
    )


def field_names() -> Kind:
    """Return the kind of a tuple of field names in lower case; empty for none."""

    def parse(value: object) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(item.strip().lower() for item in _words(value)))
        for name in names:
            if not _FIELD_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a field")
        if FORWARDED in names and (both := [name for name in X_FIELDS if name in names]):
            raise ValueError(
                f"{FORWARDED} and {both[0]} say the same: name only the one that your proxy sets"
            )
        return names

    return Kind(
        parse,
        _format_words,
        "NAMES",
        "names of header fields with commas between, forwarded or those of x-forwarded-*; or off",
        off="no field is believed",
    )


def origins() -> Kind:
    """Return the kind of a tuple of origins (RFC 6454 §6.2) in lower case, `null` and `same`, or `*` alone."""

    def parse(value: object) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(item.strip().lower() for item in _words(value)))
        for name in names:
            if name not in ("same", "*", "null") and not _ORIGIN.fullmatch(name):
                raise ValueError(
                    f"{name!r} is not an origin, which has a scheme and a host: https://app.example"
                )
        if "*" in names and len(names) > 1:
            raise ValueError("* means every site: name no other with it")
        return names

    return Kind(
        parse,
        _format_words,
        "ORIGINS",
        "same, *, null (a local file), or origins such as https://app.example:8443, with commas between; or off",
        off="no page; only programs, which send no Origin",
    )


def _words(value: object) -> list[str]:
    """The elements of a list, or of a text with commas; none for off."""
    if value is None or value is False:
        return []
    items = [value] if isinstance(value, str) else value
    if isinstance(items, bytes) or not isinstance(items, Iterable):
        raise ValueError("not a list of names")
    words: list[str] = []
    for item in items:
        if not isinstance(item, str):
            raise ValueError(f"{item!r} is not text")
        words += item.split(",")
    return [] if len(words) == 1 and values.is_off(words[0]) else words


def _format_words(words: tuple[str, ...]) -> str:
    return ",".join(words) or "off"
