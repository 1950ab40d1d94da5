"""Each name that is patched is of the kind that it was: what a class or a pickle may keep, and how it is called."""

from __future__ import annotations

import copy
import inspect
import pickle
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import pytest
from tests.support.patched import run

from greenserve_hub.patching import monkey
from greenserve_hub.patching.stdlib.functions import Builtin, in_place_of


def replaced() -> list[tuple[str, Any, Any]]:
    """Every name that monkey_patch() replaces in this Python: what is there, and what would be."""
    found = []
    for module_name, names in monkey.replacements().items():
        module = import_module(module_name)
        for name, green in names.items():
            native = getattr(module, name, None)
            if native is not None:
                found.append((f"{module_name}.{name}", native, in_place_of(native, green, module, name)))
    return found


REPLACED = replaced()
FUNCTIONS = [
    one
    for one in REPLACED
    # Some in C have no signature.
    if isinstance(one[1], FunctionType)
    or (isinstance(one[1], BuiltinFunctionType) and one[1].__text_signature__ is not None)
]
IDS = [one[0] for one in REPLACED]


def binds(one: Any) -> bool:
    """Return True if an instance is handed to it, as the attribute of a class."""

    class Holder:
        attribute = one

    return Holder().attribute is not one


@pytest.mark.parametrize(("name", "native", "green"), REPLACED, ids=IDS)
def test_a_class_may_keep_it_as_it_kept_the_other(name: str, native: Any, green: Any):
    assert binds(green) == binds(native)
    # allocate_lock is one of our classes: what it makes is the same kind of thing.
    assert isinstance(green, type) >= isinstance(native, type)
    assert callable(green) == callable(native)
    assert isinstance(green, ModuleType) == isinstance(native, ModuleType)


def positional(signature: inspect.Signature) -> list[tuple[str, Any]]:
    return [
        (one.name if one.kind is one.POSITIONAL_OR_KEYWORD else "/", one.default is not one.empty)
        for one in signature.parameters.values()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]


@pytest.mark.parametrize(("name", "native", "green"), FUNCTIONS, ids=[one[0] for one in FUNCTIONS])
def test_it_takes_the_same_arguments(name: str, native: Any, green: Any):
    theirs, ours = inspect.signature(native), inspect.signature(green)
    count = len(positional(ours))
    if any(one.kind is one.VAR_POSITIONAL for one in ours.parameters.values()):
        assert positional(theirs)[:count] == positional(ours)  # and whatever follows
    else:
        assert positional(theirs) == positional(ours)


@pytest.mark.parametrize(
    ("name", "native", "green"),
    [one for one in REPLACED if isinstance(one[2], Builtin)],
    ids=[one[0] for one in REPLACED if isinstance(one[2], Builtin)],
)
def test_a_function_in_c_is_called_and_told_by_its_name(name: str, native: Any, green: Any):
    module, _, function = name.rpartition(".")
    assert (green.__module__, green.__name__, green.__qualname__) == (module, function, function)
    assert repr(green) == f"<green function {name}>"
    assert green.__doc__.startswith("Like ")
    assert copy.deepcopy(green) is green
    assert in_place_of(green, green.__wrapped__, import_module(module), function) is green


def test_patched_they_are_pickled_by_name_and_one_object_wherever_they_are():
    said = run(
        """
        import os, pickle, select, signal, socket, subprocess, threading, time, _thread
        names = [time.sleep, select.poll, select.select, os.read, os.waitpid, os.fdopen, signal.signal,
                 socket.getaddrinfo, socket.gethostbyname, threading.get_ident, _thread.start_new_thread]
        print([pickle.loads(pickle.dumps(one)) is one for one in names].count(False))
        print(threading.get_ident is _thread.get_ident, threading.get_ident() == _thread.get_ident())
        print(pickle.dumps(time.sleep, 0))

        class Clock:
            sleep = time.sleep
            poll = select.poll

        Clock().sleep(0.001)
        print(Clock().poll().poll(0), time.sleep)
        """
    )
    plain = pickle.dumps(import_module("time").sleep, 0)
    assert said.splitlines() == ["0", "True True", repr(plain), "[] <green function time.sleep>"]
