"""eventlet's modules: all are there, once, under both names."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest
from tests.support.programs.commands import run_python

import greenserve_eventlet
from greenserve_eventlet.names import ALSO, COPIES, FOLDERS, STANDARD

WRITTEN = [
    name
    for name, folder in FOLDERS.items()
    if importlib.util.find_spec(f"greenserve_eventlet.{folder}.{name}")
]
GONE = {"asyncore", "asynchat"} - set(sys.stdlib_module_names)  # from Python 3.12 on
COPIED = [name for name, module in COPIES.items() if module not in GONE]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_module_has_its_place_and_eventlets_name(name: str):
    module = importlib.import_module(f"greenserve_eventlet.{name}")
    assert module is importlib.import_module(f"greenserve_eventlet.{FOLDERS[name]}.{name}")
    assert module.__name__ == module.__spec__.name == f"greenserve_eventlet.{FOLDERS[name]}.{name}"
    assert getattr(greenserve_eventlet, name) is module


@pytest.mark.filterwarnings("ignore:The async:DeprecationWarning")  # asyncore and asynchat, until Python 3.12
@pytest.mark.parametrize("name", [*COPIED, *ALSO])
def test_a_copy_is_made_once_and_is_not_the_standard_module(name: str):
    module = importlib.import_module(f"greenserve_eventlet.{name}")
    assert module is importlib.import_module(f"greenserve_eventlet.{name}")
    assert module is not sys.modules.get(COPIES.get(name, ""))
    assert getattr(greenserve_eventlet.green, name.partition(".")[2]) is module


def test_what_waits_for_nothing_is_the_standard_module():
    for name, standard in STANDARD.items():
        assert importlib.import_module(f"greenserve_eventlet.{name}") is importlib.import_module(standard)
    request = importlib.import_module("greenserve_eventlet.green.urllib.request")
    assert request.HTTPError is importlib.import_module("urllib.error").HTTPError


def test_greenlet_is_there_as_in_eventlet():
    assert greenserve_eventlet.greenlet is importlib.import_module("greenlet")


def test_what_is_not_there_is_said_by_the_name_that_was_asked_for():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'greenserve_eventlet\.nothing'"):
        importlib.import_module("greenserve_eventlet.nothing")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = greenserve_eventlet.green.nothing


def test_both_names_are_one_module_whichever_comes_first():
    code = """
from greenserve_eventlet.hook import install
install()
import eventlet.hubs.timer, greenserve_eventlet.hubs.timer, eventlet, greenserve_eventlet as explicit
from eventlet.green import queue
import eventlet.green.queue as again, greenserve_eventlet.green.queue as third
from eventlet import greenpool
import greenserve_eventlet.greenpool
print(eventlet is explicit, eventlet.hubs.timer is greenserve_eventlet.hubs.timer, queue is again is third)
print(greenpool is greenserve_eventlet.greenpool, greenpool.__name__)
"""
    done = run_python("-c", code)
    assert done.stdout == "True True True\nTrue greenserve_eventlet.spawning.greenpool\n", done.stderr


def test_a_copy_uses_copies_whatever_the_program_has_imported_before():
    code = """
import importlib, operator, types, warnings
from greenserve_eventlet.names import _USES, COPIES
from greenserve_hub.patching.originals import green_modules

warnings.simplefilter("ignore")  # asyncore and asynchat
standard, count = {}, 0
for name in {*COPIES.values(), *green_modules()}:
    if importlib.util.find_spec(name):
        standard[name] = importlib.import_module(name)
for name, copied in COPIES.items():
    if copied not in standard or copied in green_modules():
        continue
    module = importlib.import_module(f"greenserve_eventlet.{name}")
    used = [value for value in vars(module).values() if isinstance(value, types.ModuleType)]
    used += [operator.attrgetter(COPIES[one])(module) for one in _USES.get(copied, ())]
    for value in used:
        if standard.get(value.__name__) is value and value.__name__ not in ("http", "urllib"):
            print(name, value)
        count += 1
print(count > 20)
"""
    done = run_python("-c", code)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize("has_another", [False, True])
def test_a_module_of_a_copied_package_is_a_copy(has_another: bool):
    code = """
import importlib.machinery, sys
import greenserve_eventlet
if sys.argv[1] == "True":  # pytest's finder looks for modules to rewrite in this way
    sys.meta_path.insert(0, importlib.machinery.PathFinder)
from greenserve_eventlet.green.http import client
from greenserve_eventlet.green.urllib import request
print(client.socket.socket.__name__, request.http.client is client, request.http.client.socket.socket.__name__)
"""
    done = run_python("-c", code, str(has_another))
    assert (done.stdout, done.stderr) == ("GreenSocket True GreenSocket\n", "")
