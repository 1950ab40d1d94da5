"""`greenserve migrate`: prints a greenserve.toml made of gunicorn's configuration file or of its command line.

Each setting is there under its name here, or named in a comment with what to do. Code of the file is printed as a
comment too: hooks and computed values belong into greenserve_conf.py. The invariant: the output is TOML that greenserve
takes, whatever the input was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from greenserve.commands.gunicorn_files import GunicornFile, read_file, run_file
from greenserve.config.gunicorn import GUNICORN, VARIABLE, parse_flags, translate
from greenserve.config.hooks import HOOKS
from greenserve.config.settings import SETTINGS, Config, contradictions
from greenserve.config.show import quoted, toml_value
from greenserve.config.values.registry import Given
from greenserve.errors import ConfigError

__all__ = ["main"]

_USAGE = """\
usage: greenserve migrate [--run] gunicorn.conf.py
       greenserve migrate [--run] -- gunicorn [flags] APP

Prints a greenserve.toml with the settings of gunicorn's configuration file, or of its command line with the
file that -c names there. The file is Python: its text is read and not run, so computed values are printed as
comments. With --run it is run, in a process of its own, as gunicorn would run it.
"""
# Those that a newcomer would miss. Each with gunicorn's default, and a word about ours.
_DEFAULTS = {
    "accesslog": "gunicorn writes no access log; here it goes to stdout, unless access_logfile is off",
    "keepalive": "gunicorn keeps a connection for 2 s, greenserve for 75 s: keep_alive",
    "limit_request_line": "gunicorn takes request lines of 4094 bytes, greenserve of 8190: limit_request_line",
}

# A server without them still refuses whatever gunicorn would refuse.
_OMISSIBLE = ("daemon", "ca_certs", "limit_request_line", "limit_request_field_size")

# Those that greenserve reads by itself, and that such files often read.
_VARIABLES = {"bind": "PORT", "workers": "WEB_CONCURRENCY", "forwarded_allow_ips": "FORWARDED_ALLOW_IPS"}


def main(argv: Sequence[str]) -> int:
    """Print what the words of `argv` ask for."""
    words = list(argv)
    if words in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE)
        return 0
    read = run_file if words[:1] == ["--run"] else read_file
    if read is run_file:
        del words[0]
    if words[:1] == ["--"]:
        del words[0]
    if not words:
        raise ConfigError("migrate: give gunicorn's configuration file, or -- and its command line")
    flags: dict[str, Any] = {}
    if Path(words[0]).name == "gunicorn":
        flags = parse_flags(words[1:])
        name = str(flags.pop("config", "")) or _default_file()
        shown = " ".join(words)
    elif len(words) == 1:
        shown = name = words[0]
    else:
        raise ConfigError(f"migrate: one file, or -- gunicorn and its flags, not {words[0]} and {words[1]}")
    if name.startswith("python:"):
        raise ConfigError(f"migrate: {name}: give the path of the module's file")
    file = read(Path(name.removeprefix("file:"))) if name else GunicornFile()
    file.values |= flags
    for given in flags:
        file.computed.pop(given, None)
        file.lines.pop(given, None)
    sys.stdout.write("\n".join(_toml(file, shown, name, was_run=read is run_file)) + "\n")
    return 0


def _default_file() -> str:
    return "gunicorn.conf.py" if Path("gunicorn.conf.py").is_file() else ""


def _toml(file: GunicornFile, shown: str, name: str, was_run: bool) -> Iterator[str]:
    yield f"# greenserve.toml, made by greenserve migrate from {_one_line(shown)}. Read it before you use it."
    if name:
        how = "was run, on this machine, for its values" if was_run else "was read and not run"
        yield f"# {_one_line(name)} is Python and {how}. {VARIABLE} is not in here: greenserve reads it itself."
    if any(line.endswith("import *") for line in file.imports) and not was_run:
        yield "# It imports all names of a module, which may be settings too: --run would find them."
    yield ""
    if file.values.get("logconfig_json") and (unread := file.values.pop("logconfig", None)):
        yield f"# logconfig = {_one_line(repr(unread))}: leave it out; with logconfig_json gunicorn does not read it"
    if (
        file.values.get("daemon")
        and file.values.get("errorlog") not in (None, "-")
        and _is_unset(file, "accesslog")
    ):
        file.values["accesslog"] = None  # as gunicorn, and in the background there is no terminal for it
    taken = dict(_taken(file))
    left_out = _contradicting(taken)
    try:
        Config.from_layers(
            [{ours: Given(value, ours) for ours, value in taken.items() if ours not in left_out}]
        )
    except ConfigError as error:
        yield f"# It does not start like this: {error}"
    for row in GUNICORN.values():
        if row.name in file.values:
            yield from _setting(row.name, file.values[row.name], left_out.get(row.ours, ""))
    others = [row.name for row in GUNICORN.values() if row.name in file.functions and row.name not in HOOKS]
    if others:
        yield ""
        for hook in others:
            yield f"# {hook} (line {file.lines[hook]}): {GUNICORN[hook].place(str)}"
    if file.unknown:
        yield ""
        yield f"# Not settings of gunicorn's, so left out: {', '.join(file.unknown)}"
    if missing := [text for one, text in _DEFAULTS.items() if _is_unset(file, one)]:
        yield ""
        yield "# Not set, and another default here:"
        yield from (f"# {text}" for text in missing)
    yield from _python(file)


def _is_unset(file: GunicornFile, name: str) -> bool:
    return name not in file.values and name not in file.computed


def _contradicting(taken: dict[str, Any]) -> dict[str, str]:
    """Return the settings that contradict others and can be left out, with the reason of each."""
    values = {name: entry.default for name, entry in SETTINGS.items()} | taken
    found: dict[str, str] = {}
    for name, other, why in contradictions(values):
        if name in _OMISSIBLE:
            found.setdefault(
                name, f"it contradicts {other} = {SETTINGS[other].kind.format(values[other])}: {why}"
            )
    return found


def _is_set(name: str, value: object) -> bool:
    # None is gunicorn's word for not set, but for "off" of this one.
    return value is not None or name == "accesslog"


def _taken(file: GunicornFile) -> Iterator[tuple[str, Any]]:
    for name, value in file.values.items():
        row = GUNICORN[name]
        if row.ours in SETTINGS and _is_set(name, value):
            try:
                yield row.ours, _parsed(name, value)
            except ValueError:
                continue


def _parsed(name: str, value: object) -> Any:
    entry = SETTINGS[GUNICORN[name].ours]
    value = translate(name, value)
    try:
        return entry.kind.parse(value)
    except ValueError:
        if isinstance(value, int) and not isinstance(value, bool):  # a user, say
            return entry.kind.parse(str(value))
        raise


def _setting(name: str, value: object, why_not: str) -> Iterator[str]:
    row = GUNICORN[name]
    remark = "" if row.ours == name else f"  # {name}"
    if row.ours == "app":
        yield f"app = {quoted(str(value))}{remark}"
    elif row.ours in SETTINGS:
        entry = SETTINGS[row.ours]
        if not _is_set(name, value):
            return
        if why_not:
            yield f"# {name} = {_one_line(repr(value))}: {why_not}"
            return
        try:
            yield f"{row.ours} = {toml_value(entry, _parsed(name, value))}{remark}"
        except ValueError as error:
            yield (
                f"# {name} = {_one_line(repr(value))}: {error} in greenserve; {row.ours} is {entry.kind.allowed}"
            )
    elif row.ours in HOOKS:
        yield f"# {name} = {_one_line(repr(value))}: {row.place(str)}"
    elif value:  # else it is what gunicorn and greenserve do anyway
        is_asgi = name == "worker_class" and "uvicorn" in str(value).lower()
        why = "this worker is for ASGI apps, and greenserve serves WSGI apps" if is_asgi else row.place(str)
        yield f"# {name} = {_one_line(repr(value))}: {why}"


def _python(file: GunicornFile) -> Iterator[str]:
    """The part that is code: it belongs into greenserve_conf.py."""
    hooks = [name for name in HOOKS if name in file.functions]
    computed = {name: text for name, text in file.computed.items() if name in GUNICORN}
    if not hooks and not computed:
        return
    yield ""
    yield "# Code. What follows belongs into greenserve_conf.py, beside this file, with what it uses of the old one."
    if hooks:
        yield "# Hooks get other objects: server and worker have pid, config and log (greenserve's hooks/README.md)."
    yield "#"
    yield from (f"# {_escaped(line)}" for line in file.imports)
    for name, text in computed.items():
        ours = GUNICORN[name].ours
        if (variable := _VARIABLES.get(ours, "-")) in text:
            yield f"# {ours}: leave it out, greenserve reads {variable} itself ({_one_line(text)})"
        elif not ours:
            yield f"# {name} (line {file.lines.get(name, 0)}: {_one_line(text)}): {GUNICORN[name].place(str)}"
        elif text.startswith(("set at line", "imported at line")):
            yield f"# {ours}: {name} is {text}"
        else:
            yield f"# {ours} = {_one_line(text)}"
    for name in hooks:
        yield "#"
        # A control character can't stand in TOML, not even in a comment.
        yield from (f"# {_escaped(line)}".rstrip() for line in file.functions[name].split("\n"))


def _escaped(line: str) -> str:
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode()
        for char in line.removesuffix("\r")
    )


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
