"""format_error: an exception and its traceback as text, whatever the exception is.

Facts: Python 3.15 says more of a module that was not found, and looks for it first. Where the package around it failed
to be imported, that runs the package's code a second time; where it has no files, or a folder of sys.path can't be
read, the traceback module raises in the place of giving a text. Consequence: it is kept from looking where that would
run code, and asked once more without looking where that fails.

Knows nothing of the hub. Whatever prints errors of code that is not our own calls it.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType


def format_error(error: BaseException, trace: TracebackType | None) -> str:
    """As traceback.format_exception, in one piece. Switches: never."""
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
    """`error`, and all that a traceback tells of besides."""
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
    # Without the name there is nothing to look for; the message has it.
    named = [(one, one.name) for one in errors]
    for one, _ in named:
        one.name = None
    try:
        yield
    finally:
        for one, name in named:
            one.name = name
