"""The command's configuration, and the app that it serves: flags beat variables, then the files, then the defaults.

Reads `greenserve.toml`, or `[tool.greenserve]` of `pyproject.toml`, in the current folder, and runs
`greenserve_conf.py` there, whose values beat theirs. The file that `--config` names takes the place of the one of its
kind. Called by cli.py; an embedded server uses `Config.from_settings` and reads no file.

Invariant: the result holds the source of each setting's value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenserve.config.gunicorn import read_variable
from greenserve.config.hooks import Hook
from greenserve.config.python_files import PythonFile, find_python, is_python, read_python
from greenserve.config.settings import SETTINGS, Config
from greenserve.config.unknown_names import APP, refuse_unknown, refuse_unknown_variables
from greenserve.config.values.kinds import text
from greenserve.config.values.registry import Given, Layer, choose, environment
from greenserve.errors import ConfigError

__all__ = ["Loaded", "load_config"]

OWN_FILE = "greenserve.toml"
PROJECT_FILE = "pyproject.toml"
_FIRST_FD = 3  # SD_LISTEN_FDS_START
_EARLY = {name: SETTINGS[name] for name in ("monkey_patch", "hub")}  # needed before a Python file is run


@dataclass(frozen=True, slots=True)
class Loaded:
    """A Config, the source of each of its values, the files that were read, the app to serve, the hooks."""

    config: Config
    origins: Mapping[str, str]
    file: Path | None
    app: Given | None = None
    python_file: Path | None = None
    hooks: tuple[Hook, ...] = ()


def load_config(
    flags: Mapping[str, Given] | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] = ".",
    environ: Mapping[str, str] | None = None,
    before_python: Callable[[bool, str], None] | None = None,
    wanted: str = "",
) -> Loaded:
    """Merge flags, environment, files and defaults. Raises ConfigError with one clear line.

    `flags` may hold the command's argument, as `app`, besides settings. `before_python` is called before a Python file
    is run, with the settings `monkey_patch` and `hub`. If another source names the setting that is `wanted`, a Python
    file is run only if it is `file`.
    """
    environ = os.environ if environ is None else environ
    refuse_unknown_variables(environ, SETTINGS)
    variables = environment(SETTINGS.values(), environ)
    if environ.get(APP):
        variables["app"] = Given(environ[APP], f"env {APP}")
    of_gunicorn = read_variable(environ)
    named = None if file is None else os.fspath(file)
    python = named if named is not None and is_python(named) else None
    path, table = _read_file(Path(folder), Path(named) if named is not None and python is None else None)
    stronger = [flags or {}, variables, of_gunicorn]

    def prepare(early: Layer) -> None:
        if before_python is not None:
            chosen = {name: value for name, value, _ in choose(_EARLY, [*stronger, early, table])}
            before_python(chosen["monkey_patch"], chosen["hub"])

    is_known = python is None and any(wanted in layer for layer in (*stronger, table))
    own = None if is_known else find_python(Path(folder), python)
    run = PythonFile({}, ()) if own is None else read_python(own, prepare)
    layers = [*stronger, run.settings, table, _other_variables(environ)]
    config, origins = Config.from_layers(layers)
    app = next((layer["app"] for layer in layers if "app" in layer), None)
    if app is not None:
        _check_app(app)
    return Loaded(config, origins, path, app, own, run.hooks)


def _check_app(app: Given) -> None:
    try:
        text().parse(app.value)
    except ValueError as error:
        raise ConfigError(
            f"app = {app.value!r} ({app.origin}): {error}; allowed: module:app, module:factory() or the path of a file"
        ) from None


def _other_variables(environ: Mapping[str, str]) -> dict[str, Given]:
    # Weaker than all of greenserve's own sources, and never read by an embedded server. Platforms that start a server
    # with PORT expect it to listen on every address, as gunicorn does; gunicorn and uvicorn read FORWARDED_ALLOW_IPS
    # and WEB_CONCURRENCY.
    found = {}
    if port := environ.get("PORT"):
        found["bind"] = Given(f"0.0.0.0:{port}", "env PORT")
    # sd_listen_fds(3): systemd passes sockets to a process whose number it names.
    if environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "").isdecimal():
        fds = range(_FIRST_FD, _FIRST_FD + int(environ["LISTEN_FDS"]))
        found["bind"] = Given([f"fd://{fd}" for fd in fds], "env LISTEN_FDS")
    if allowed := environ.get("FORWARDED_ALLOW_IPS"):
        found["forwarded_allow_ips"] = Given(allowed, "env FORWARDED_ALLOW_IPS")
    if workers := environ.get("WEB_CONCURRENCY"):
        found["workers"] = Given(workers, "env WEB_CONCURRENCY")
    return found


def _read_file(folder: Path, named: Path | None) -> tuple[Path | None, dict[str, Given]]:
    if named is not None:
        candidates = [folder / named]
        if not candidates[0].is_file():
            raise ConfigError(f"--config {named}: no such file")
    else:
        candidates = [path for path in (folder / OWN_FILE, folder / PROJECT_FILE) if path.is_file()]
    for path in candidates:
        shown = str(named or path.name)
        table, prefix = _table(path, shown)
        if table is not None:
            refuse_unknown(table, [*SETTINGS, "app"], shown)
            return path, {name: Given(value, f"{shown}: {prefix}{name}") for name, value in table.items()}
    if named is not None:
        raise ConfigError(f"--config {named}: has no [tool.greenserve]")
    return None, {}


def _table(path: Path, shown: str) -> tuple[dict[str, Any] | None, str]:
    import tomllib  # here: most starts read no such file

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{shown}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown}: not valid TOML: {error}") from None
    if path.name != PROJECT_FILE:
        return document, ""
    table = document.get("tool", {})
    table = table.get("greenserve") if isinstance(table, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{shown}: tool.greenserve is not a table")
    return table, "tool.greenserve."
