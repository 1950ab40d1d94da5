"""format_error: any exception and its traceback as text.

Facts: for a module that was not found, Python 3.15 searches for it to print a better text. If the import of the package
around it failed, the search runs the package's code a second time. If the package has no files, or a folder of sys.path
cannot be read, the traceback module raises instead of returning a text. Consequence: the search is prevented where it
would run code, and where it fails the text is made again without it.

Knows nothing of the hub. Called by code that prints the errors of foreign code.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType


def format_error(error: BaseException, trace: TracebackType | None) -> str:
    """Return the text of traceback.format_exception as one string. Switches: never."""
    missing = [one for one in _with_causes(error) if isinstance(one, ModuleNotFoundError) and one.name]
    failed = [one for one in missing if _package(one) not in sys.modules]
    with suppress(Exception), _nameless(failed):
        return _text(error, trace)
    with _nameless(missing):
        return _text(error, trace)


def _text(error: BaseException, trace: TracebackType | None) -> str:
    return "".join(traceback.format_exception(type(error), error, trace))


def _package(error: ModuleNotFoundError) -> str:
    return (error.name or "").rpartition(".")[0] or "sys"


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and all other exceptions that its traceback shows."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += (one.__cause__, one.__context__)
            if isinstance(one, BaseExceptionGroup):
                todo += one.exceptions


@contextmanager
def _nameless(errors: Iterable[ModuleNotFoundError]) -> Iterator[None]:
    # Without the name there is nothing to search for. The message contains the name anyway.
    named = [(one, one.name) for one in errors]
    for one, _ in named:
        one.name = None
    try:
        yield
    finally:
        for one, name in named:
            one.name = name
