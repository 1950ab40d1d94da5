"""What the site takes from the code: the settings, gunicorn's table, the metrics, the example apps.

A page holds `<!-- generated: NAME -->`, or `NAME ARGUMENT`, and the text of GENERATED[NAME] takes its place. So nothing
is copied by hand, and nothing can be missing. Called by extension.py and by tests/docs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from greenserve.admin.exposition import exposition
from greenserve.config import SETTINGS
from greenserve.config.values.registry import Setting
from greenserve.process.holding import LIBRARIES

ROOT = Path(__file__).parents[1]
_MARK = re.compile(r"^<!-- generated: ([\w-]+)((?: [\w./]+)*) -->$", re.MULTILINE)


def expand(markdown: str) -> str:
    """Return a page with all that is generated in its place. Raises KeyError for a name that nothing makes."""
    return _MARK.sub(lambda found: GENERATED[found[1]](*found[2].split()), markdown)


# The settings


def _settings() -> str:
    """Each setting of the registry, in its order, below the heading of its group."""
    parts, group = [], ""
    for entry in SETTINGS.values():
        if entry.group != group:
            group = entry.group
            parts.append(f"## {group}")
        parts.append(_setting(entry))
    return "\n\n".join(parts)


def _setting(entry: Setting) -> str:
    facts = [f"Default {_shown(entry, entry.default)}"]
    if entry.embedded != entry.default:
        facts.append(f"in a program {_shown(entry, entry.embedded)}")
    facts.append(f"variable `{entry.env}`")
    if entry.aliases:
        facts.append("also " + ", ".join(f"`{flag}`" for flag in entry.aliases))
    lines = [" · ".join(facts), f"Allowed: {_text(entry.kind.allowed)}"]
    if entry.kind.zero:
        lines[-1] += f"; 0: {_text(entry.kind.zero)}"
    if entry.protects:
        lines.append(f"Stops: {_text(entry.protects)}")
    if entry.precedent:
        lines.append(f"Elsewhere: {_text(entry.precedent)}")
    flag = f"`{entry.flag} {entry.kind.metavar}`" if entry.kind.metavar else f"`{entry.flag}`"
    anchor = entry.name.replace("_", "-")
    shown = "\n".join(f"- {line}" for line in lines)
    return f"### {flag} {{ #{anchor} }}\n\n{_sentence(entry.help)}\n\n{shown}"


def _shown(entry: Setting, value: object) -> str:
    text = str(entry.kind.format(value))
    return f"`{text}`" if text else "none"


def _sentence(text: str) -> str:
    text = _text(text)
    return text[0].upper() + text[1:] + "." * (text[-1] != ".")


def _text(text: str) -> str:
    """Plain text as Markdown: `<`, `|`, `*` and `_` stand for themselves."""
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", text)


# The metrics


def _metrics() -> str:
    """Each family of /metrics, as a scrape names it."""
    said = exposition([], {}, is_open=False)
    kinds = dict(re.findall(r"^# TYPE (\S+) (.*)$", said, re.MULTILINE))
    rows = re.findall(r"^# HELP (\S+) (.*)$", said, re.MULTILINE)
    lines = [f"| `{name}` | {kinds[name]} | {_text(text)} |" for name, text in rows]
    return "\n".join(["| metric | kind | what it tells |", "|---|---|---|", *lines])


# What stands in the repository


def _gunicorn() -> str:
    """The table of server/MOVING.md, which a test compares with gunicorn."""
    page = (ROOT / "server/MOVING.md").read_text(encoding="utf-8")
    return page.partition("<!-- gunicorn:begin -->\n")[2].partition("\n<!-- gunicorn:end -->")[0]


def _examples() -> str:
    """Each app of apps/README.md: what it shows, its command, when to use it, and its text if it is one file."""
    readme = (ROOT / "apps/README.md").read_text(encoding="utf-8")
    reasons = {}
    for names, text in re.findall(r"^\*\*(`.*?)\*\*:? ?(.*(?:\n.+)*)", readme, re.MULTILINE):
        for name in re.findall(r"`([\w./]+)`", names):
            reasons[name] = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)  # its links are of the repository
    rows = [
        line.strip("| ").split(" | ") for line in re.findall(r"^\| `[\w./]+` \|.*$", readme, re.MULTILINE)
    ]
    return "\n\n".join(_example(name.strip("`"), *cells, reasons=reasons) for name, *cells in rows)


def _app(name: str) -> str:
    """The text of an app, as a block."""
    text = (ROOT / "apps" / name).read_text(encoding="utf-8")
    return f'```python title="apps/{name}"\n{text}```'


def _example(name: str, what: str, command: str, needs: str = "", *, reasons: dict[str, str]) -> str:
    needed = f" It needs {needs}." if needs else ""
    anchor = re.sub(r"\W|_", "-", name.removesuffix(".py").rstrip("/"))
    parts = [f"## {name} {{ #{anchor} }}", f"{what[0].upper() + what[1:]}. Run it: {command}.{needed}"]
    if name in reasons:
        parts.append(f"When: {reasons[name]}")
    if name.endswith(".py"):
        folded = "\n".join(f"    {line}" if line else "" for line in _app(name).splitlines())
        parts.append(f'??? note "apps/{name}"\n\n{folded}')
    return "\n\n".join(parts)


def _blocking_libraries() -> str:
    """What the log advises of each library that holds the hub. psycopg2 does so only if it is not patched."""
    left_out = {"psycopg2", "sqlite3", "_sqlite3"}
    rows = [f"| `{name}` | {_text(advice)} |" for name, advice in LIBRARIES.items() if name not in left_out]
    return "\n".join(["| library | what helps |", "|---|---|", *rows])


def _eventlet_differences() -> str:
    """The tables of greenserve_eventlet's DIFFERENCES.md, without its headings."""
    page = (ROOT / "server/greenserve_eventlet/DIFFERENCES.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    return "\n".join(re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", table) for table in tables)


GENERATED: dict[str, Callable[..., str]] = {
    "settings": _settings,
    "metrics": _metrics,
    "gunicorn": _gunicorn,
    "examples": _examples,
    "app": _app,
    "blocking-libraries": _blocking_libraries,
    "eventlet-differences": _eventlet_differences,
}
