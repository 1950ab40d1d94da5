"""eventlet and gevent beside us: refused where they have patched, not chosen where they are only installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.programs.patched import run
from tests.support.programs.rivals import install

# The stand-ins come first; sys.argv[1] is their folder.
FIRST = "import sys; sys.path.insert(0, sys.argv[1])"
TOLD = """
import json, warnings
def told(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            made = make()
    print(json.dumps([made.async_mode, [(str(one.message), one.filename) for one in caught]]))
"""


@pytest.mark.parametrize(
    ("patch", "call"),
    [
        ("import gevent.monkey; gevent.monkey.patch_all()", "gevent.monkey.patch_all()"),
        ("import eventlet; eventlet.monkey_patch()", "eventlet.monkey_patch()"),
    ],
)
def test_a_process_that_another_has_patched_is_left_alone(tmp_path, patch, call):
    install(tmp_path, "gevent", "eventlet")
    said = run(
        """
        import time
        native = time.sleep
        try:
            greenserve.monkey_patch()
        except greenserve.HubError as error:
            print(error)
        print(time.sleep is native, greenserve.is_monkey_patched("time"))
        """,
        str(tmp_path),
        patch=False,
        before=f"{FIRST}\n{patch}",
    )
    refusal, left = said.splitlines()
    assert refusal.startswith(
        f"{call} has patched this process, and two hubs in one process block each other: "
    )
    assert left == "True False"


def test_another_that_is_imported_and_has_patched_nothing_harms_nothing(tmp_path):
    install(tmp_path, "gevent", "eventlet")
    said = run("print('patched')", str(tmp_path), before=f"{FIRST}\nimport gevent.monkey, eventlet")
    assert said == "patched\n"


def servers(folder: Path, make: str, *installed: str) -> tuple[str, list[tuple[str, str]]]:
    """The mode that Socket.IO gets, and what is said, with where, when two are made of the same line."""
    install(folder, *installed)
    mode, told = json.loads(run(f"{TOLD}\n{make}", str(folder), before=FIRST))
    return mode, [(text, file) for text, file in told]


@pytest.mark.parametrize(
    "make",
    [
        "import engineio; told(engineio.Server)",
        "import socketio; told(lambda: socketio.Server().eio)",
    ],
)
def test_socketio_takes_threads_though_gevent_is_installed(tmp_path, make):
    mode, told = servers(tmp_path, make, "gevent")
    assert mode == "threading"
    ((text, file),) = told
    assert text.startswith(
        "Socket.IO would run on gevent, only because it is installed, and block all requests"
    )
    assert file == "<string>", "the line that made the server is named"


def test_socketio_is_said_nothing_of_where_it_is_told_to_take_threads_or_nothing_else_is_there(tmp_path):
    threads = "import engineio; told(lambda: engineio.Server(async_mode='threading'))"
    assert servers(tmp_path, threads, "gevent", "eventlet") == ("threading", [])
    assert servers(tmp_path / "empty", "import engineio; told(engineio.Server)") == ("threading", [])


def test_socketio_that_is_told_to_take_another_takes_threads_all_the_same(tmp_path):
    mode, told = servers(
        tmp_path, "import engineio; told(lambda: engineio.Server('eventlet', ping_timeout=7))"
    )
    assert mode == "threading"
    ((text, _),) = told
    assert text.startswith("Socket.IO would run on eventlet, as async_mode says")


def test_socketio_of_asyncio_is_left_as_it_is(tmp_path):
    mode, told = servers(tmp_path, "import engineio; told(engineio.AsyncServer)", "gevent")
    assert mode in ("aiohttp", "asgi", "sanic", "tornado")
    assert told == []


def test_ddtrace_drops_no_patched_modules_though_gevent_is_installed(tmp_path):
    install(tmp_path, "gevent", "ddtrace")
    said = run(
        """
        import time, threading, concurrent.futures
        before = time, threading, concurrent.futures
        import ddtrace.auto
        import time, threading, concurrent.futures
        print(before == (time, threading, concurrent.futures))
        from greenserve_hub.patching.monkey import lost_modules
        print(lost_modules())
        """,
        str(tmp_path),
        before=FIRST,
    )
    assert said == "True\n[]\n"


def test_modules_that_somebody_drops_are_known(tmp_path):
    install(tmp_path, "ddtrace")
    said = run(
        """
        import os
        os.environ["DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE"] = "1"
        import ddtrace.auto
        from greenserve_hub.patching.monkey import lost_modules
        print(lost_modules())
        """,
        str(tmp_path),
        before=FIRST,
    )
    assert said == "['_thread', 'threading', 'time']\n"
