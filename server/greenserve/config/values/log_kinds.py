"""The kinds of values that say where logs go, how their lines look, and which are left out.

Called by groups/logs.py.
"""

from __future__ import annotations

from greenserve.config.values.kinds import Kind, items_of, path_of
from greenserve.grammar import is_token
from greenserve.logs.datagrams import parse_place
from greenserve.logs.formats import compile_format

__all__ = ["field_name", "log_file", "log_format", "paths"]


def log_file(stream: str, *, off: bool) -> Kind:
    """Return the kind of a log's file: a path, `-` for `stream`, and `off` if the log can be switched off."""

    def parse(value: object) -> str:
        if value is None or value is False:
            value = "off"
        path = path_of(value)
        if path == "":
            raise ValueError("empty")
        if path.lower() == "off":
            if not off:
                raise ValueError("can't be switched off")
            return "off"
        parse_place(path)
        return path

    return Kind(
        parse,
        str,
        "FILE",
        f"a path, - ({stream}), syslog:, syslog:HOST:PORT, journald or logging" + (", or off" if off else ""),
    )


_TAKEN = frozenset(
    {
        *(
            "accept",
            "authorization",
            "connection",
            "content-length",
            "content-type",
            "cookie",
            "date",
            "expect",
        ),
        *(
            "forwarded",
            "host",
            "keep-alive",
            "location",
            "origin",
            "range",
            "referer",
            "server",
            "set-cookie",
        ),
        *("te", "trailer", "traceparent", "tracestate", "transfer-encoding", "upgrade", "user-agent", "via"),
        *(
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-proto",
        ),
    }
)


def field_name() -> Kind:
    """Return the kind of a header field that may hold an id, as it is spelled in a response; empty for none."""

    def parse(value: object) -> str:
        if value is None or value is False or value == "":
            return ""
        name = value.strip() if isinstance(value, str) else ""
        if name.lower() == "off":
            return ""
        if not is_token(name) or "_" in name or len(name) > 64:
            raise ValueError("not the name of a field")
        if name.lower() in _TAKEN:
            raise ValueError("this field has another meaning")
        return name

    return Kind(parse, str, "NAME", "the name of a header field such as X-Request-ID; or off", off="no ids")


def log_format() -> Kind:
    """Return the kind of an access log format: `combined`, `json` or Apache's atoms."""

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("not a format")
        compile_format(value)
        return value

    allowed = 'timed, combined, json, or a line of Apache % codes such as %h %t "%r" %s %b'
    return Kind(parse, str, "FORMAT", allowed, words=("timed", "combined", "json"))


def paths() -> Kind:
    """Return the kind of a tuple of URL paths, of which each may end with a `*`; empty for none."""

    def parse(value: object) -> tuple[str, ...]:
        items = items_of(value or ())
        if items is None:
            raise ValueError("not a path")
        return tuple(dict.fromkeys(_url_path(item) for item in items))

    return Kind(
        parse,
        ",".join,
        "PATH",
        "paths such as /healthz, or beginnings such as /static/*, once or several times",
    )


def _url_path(item: object) -> str:
    text = item.strip() if isinstance(item, str) else ""
    if text[:1] != "/":
        raise ValueError(f"{item!r} is not a path: it begins with a slash")
    if "*" in text[:-1]:
        raise ValueError(f"{item!r}: a * stands at the end only")
    if not text.isascii() or not text.isprintable() or set(text) & set(" ?#,"):
        raise ValueError(f"{item!r}: write the path as clients send it, without query, percent-encoded")
    return text
