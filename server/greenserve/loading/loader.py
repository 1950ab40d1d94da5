"""From `APP` on the command line to a WSGI callable.

APP is `module:attr` (dots allowed), `module:factory(…literals…)`, `module` (its application, app, or create_app()), or
the path of a file or package folder, alone or with `:attr`. Called by cli.py, and by embedding.py for an app given as
text. It serves nothing.

Invariant: every failure is an AppImportError with one clear line, and only literals are evaluated in APP.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any
from wsgiref.types import WSGIApplication

from greenserve.errors import AppImportError, ConfigError
from greenserve.loading.checking import check_wsgi, kind_of
from greenserve.loading.importing import import_named, import_path, run_users

__all__ = ["check_wsgi", "enter_folder", "load_app"]

# The names under which `module` is searched for its app; the last one is called.
NAMES = ("application", "app", "create_app")

_MISSING = object()
_DOTTED_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def load_app(spec: str) -> WSGIApplication:
    """Import the app that `spec` names. The current folder is importable from now on.

    Raises AppImportError if there is no such app, if its import fails, and if it is not a WSGI app.
    """
    where, attribute = _split(spec)
    if _is_path(where):
        module = import_path(Path(where))
    elif _DOTTED_NAME.fullmatch(where):
        module = import_named(where)
    else:
        raise AppImportError(f"{spec!r} names no app: write module:attr, or the path of a file")
    if attribute:
        return check_wsgi(_evaluate(module, where, attribute, spec), spec)
    return _find(module, where)


def enter_folder(folder: str, origin: str = "keyword chdir") -> None:
    """Change to `folder` (the setting `chdir`). Raises ConfigError, which names `origin`, if that fails."""
    if folder:
        try:
            os.chdir(folder)
        except OSError as error:
            raise ConfigError(f"chdir = {folder!r} ({origin}): {error.strerror}") from None


def _split(spec: str) -> tuple[str, str]:
    if Path(spec).exists():  # a path may hold a colon
        return spec, ""
    where, colon, attribute = spec.partition(":")
    if colon and not attribute.strip():
        raise AppImportError(f"{spec!r} names no app after the colon")
    return where.strip(), attribute.strip()


def _is_path(where: str) -> bool:
    if os.sep in where or where.endswith(".py") or where in (".", ".."):
        return True
    # `app.wsgi` is a file; `app` beside a folder or file app is a module.
    return "." in where and Path(where).is_file()


def _find(module: ModuleType, where: str) -> WSGIApplication:
    there = {name: value for name in NAMES if (value := _member(module, name)) is not _MISSING}
    for name, value in there.items():
        if inspect.ismodule(value):
            continue  # a package's submodule app.py, not an app
        if name == "create_app" and callable(value):
            made = run_users(value, f"{where}:create_app() failed", may_pass=True)
            return check_wsgi(made, f"{where}:create_app()")
        return check_wsgi(value, f"{where}:{name}")
    hint = "".join(f"; {where}.{name} is a module" for name in there)
    raise AppImportError(f"{where} has no {', '.join(NAMES[:-1])} or {NAMES[-1]}{hint or _has(module, '')}")


def _evaluate(module: ModuleType, path: str, expression: str, spec: str) -> Any:
    try:
        tree = ast.parse(expression, mode="eval").body
        arguments: list[Any] | None = None
        keywords: dict[str, Any] = {}
        if isinstance(tree, ast.Call):
            arguments = [ast.literal_eval(one) for one in tree.args]
            keywords = {one.arg: ast.literal_eval(one.value) for one in tree.keywords if one.arg}
            if len(keywords) < len(tree.keywords):
                raise ValueError("** in a call")
            tree = tree.func
        names = _names(tree)
    except (SyntaxError, ValueError):
        raise AppImportError(
            f"{spec!r}: write a name after the colon, or a call of a name with literal arguments"
        ) from None
    value: Any = module
    for name in names:
        member = _member(value, name)
        if member is _MISSING:
            raise AppImportError(f"{path} has no {name}{_has(value, name)}")
        value, path = member, f"{path}.{name}"
    if arguments is None:
        return value
    if not callable(value):
        raise AppImportError(f"{spec}: {'.'.join(names)} is {kind_of(value)}, which can't be called")
    return run_users(lambda: value(*arguments, **keywords), f"{spec} failed", may_pass=True)


def _member(owner: object, name: str) -> Any:
    # A module's __getattr__ and a lazy proxy are user code and may raise anything.
    return run_users(lambda: getattr(owner, name, _MISSING), f"can't get {name}")


def _names(tree: ast.expr) -> list[str]:
    if isinstance(tree, ast.Name):
        return [tree.id]
    if isinstance(tree, ast.Attribute):
        return [*_names(tree.value), tree.attr]
    raise ValueError("neither a name nor a dotted name")


def _has(owner: object, wanted: str) -> str:
    """Return the end of the error's line: the closest name, or all names that could be an app."""
    there = getattr(owner, "__dict__", {})
    names = [name for name, value in there.items() if not name.startswith("_") and callable(value)]
    close = difflib.get_close_matches(wanted, names, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; it has {', '.join(names[:8])}{', …' if len(names) > 8 else ''}" if names else ""
