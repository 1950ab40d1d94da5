"""Imports the user's module, by name or by path, and separates the user's errors from ours.

Called by loader.py. It knows modules and files, not apps.

Invariant: any exception of the user's code, except KeyboardInterrupt, becomes an AppImportError with one clear line and
a traceback of the user's frames alone.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from greenserve.errors import AppImportError
from greenserve_hub.tracebacks import format_error

__all__ = ["import_named", "import_path", "run_users"]

T = TypeVar("T")


def _put_first(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


# The path in our frames, which in a frozen program differs from `__file__`.
_OURS = os.path.dirname(os.path.dirname(_put_first.__code__.co_filename)) + os.sep
_IMPORTLIB = importlib.import_module.__code__.co_filename


def import_named(name: str) -> ModuleType:
    """Import a module by its dotted name, with the current folder first on sys.path."""
    _put_first(os.getcwd())
    return _import(name)


def _import(name: str) -> ModuleType:
    try:
        return run_users(lambda: importlib.import_module(name), f"can't import {name}")
    except AppImportError as error:
        missing = error.__cause__
        # Only if the module itself is missing; a missing import of its own gets the user's traceback.
        if (
            isinstance(missing, ModuleNotFoundError)
            and missing.name
            and f"{name}.".startswith(f"{missing.name}.")
        ):
            raise AppImportError(
                f"no module {missing.name} in {os.getcwd()} or among the installed{_close_module(name)}"
            ) from None
        raise


def import_path(path: Path) -> ModuleType:
    """Import a file or a package folder, as part of the packages around it."""
    path = path.absolute()
    if not path.exists():
        raise AppImportError(f"no such file: {path}")
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        raise AppImportError(f"{path} is a folder without __init__.py: name a file in it")
    # Imports start in the folder that holds the outermost package.
    top = file.parent
    while (top / "__init__.py").is_file() and top != top.parent:
        top = top.parent
    relative = file.relative_to(top).with_suffix("")
    parts = relative.parts[:-1] if relative.name == "__init__" else relative.parts
    _put_first(os.getcwd())
    _put_first(str(top))
    if file.suffix != ".py" or not all(part.isidentifier() for part in parts):
        return _import_file(file)
    name = ".".join(parts)
    module = _import(name)
    if module.__file__ is None or not os.path.samefile(module.__file__, file):
        raise AppImportError(
            f"{file} can't be imported as {name}: "
            f"{module.__file__ or 'a built-in module'} has that name already; rename the file"
        )
    return module


def _import_file(file: Path) -> ModuleType:
    # my-app.py, app.wsgi: no import statement can name it, so it gets a free name.
    name = "_greenserve_app_" + re.sub(r"\W", "_", file.stem)
    loader = importlib.machinery.SourceFileLoader(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader)
    if spec is None:  # only for a loader without create_module; this one has it
        raise AppImportError(f"can't import {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as import does: dataclasses and pickle look it up there
    try:
        run_users(lambda: loader.exec_module(module), f"can't import {file}")
    except AppImportError:
        del sys.modules[name]
        raise
    return module


def run_users(call: Callable[[], T], failure: str, *, may_pass: bool = False) -> T:
    """Run the user's code; turn its exception into an AppImportError with its traceback.

    `may_pass`: the error may come from the environment, such as a database that is not up yet, not from the code.
    """
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: an app without `if __name__ == "__main__"`
        frame = error.__traceback__
        while frame is not None and _is_machinery(frame.tb_frame.f_code.co_filename):
            frame = frame.tb_next
        in_user_code = frame is not None or isinstance(error, SyntaxError)
        details = format_error(error, frame) if in_user_code else ""
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        is_bug = not isinstance(error, Exception) or isinstance(error, ImportError | SyntaxError)
        may_pass = may_pass and in_user_code and not is_bug
        raise AppImportError(f"{failure}: {_one_line(what)}", details, may_pass=may_pass) from error


def _is_machinery(filename: str) -> bool:
    return filename == _IMPORTLIB or filename.startswith((_OURS, "<frozen importlib"))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _close_module(name: str) -> str:
    first = name.partition(".")[0]
    there = [
        path.stem for path in Path().iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    ]
    close = difflib.get_close_matches(first, there, n=1)
    return f"; did you mean {close[0]}?" if close and close[0] != first else ""
