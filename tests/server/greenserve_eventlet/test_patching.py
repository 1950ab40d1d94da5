"""eventlet.patcher, and threading.current_thread() after it. In programs of their own: a patch is never undone."""

from __future__ import annotations

import sys
import textwrap

import pytest
from tests.support.programs.commands import run_python

from greenserve_eventlet import patcher


def run(code: str, **environ: str) -> str:
    begin = "import greenserve_eventlet as eventlet\nfrom greenserve_eventlet import patcher\n"
    done = run_python("-W", "error", "-c", begin + textwrap.dedent(code), **environ)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_monkey_patch_is_quiet_behind_other_imports():
    said = run_python(
        *("-W", "error", "-c"),
        "import threading, logging, queue\nimport greenserve_eventlet as e\ne.monkey_patch()\nprint('quiet')",
    )
    assert (said.stdout, said.stderr) == ("quiet\n", "")


@pytest.mark.parametrize(
    ("call", "patched"),
    [
        ("", "os,select,socket,subprocess,thread,time"),
        ("socket=True", "socket"),
        ("socket=False", "os,select,subprocess,thread,time"),
        ("all=False, os=True", "os"),
    ],
)
def test_what_is_patched_has_eventlets_names(call: str, patched: str):
    said = run(
        f"eventlet.monkey_patch({call}); print(','.join(sorted(set(patcher.already_patched) - {{'psycopg'}})))"
    )
    assert said == f"{patched}\n"


def test_groups_that_do_not_exist():
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        patcher.monkey_patch(nothing=True)
    with pytest.raises(AssertionError, match="not both"):
        patcher.monkey_patch(__builtin__=True, builtins=True)


def test_copies_are_made_once_and_fill_names():
    said = run(
        """
        import sys
        names = {}
        copy = patcher.inject("textwrap", names)
        print(copy is patcher.import_patched("textwrap") is sys.modules["__patched_module_textwrap"])
        print(names["TextWrapper"] is copy.TextWrapper, "__file__" in names)
        print(patcher.import_patched("socket") is eventlet.green.socket)
        given = patcher.import_patched("colorsys", ("math", sys))
        print(given is not sys.modules.get("colorsys"))
        """
    )
    assert said == "True\nTrue False\nTrue\nTrue\n"


def test_modules_are_put_back():
    saver = patcher.SysModulesSaver(["json"])
    before = sys.modules.get("json")
    saver.save("nothing_at_all")
    sys.modules["json"] = sys
    sys.modules["nothing_at_all"] = sys
    saver.restore()
    assert sys.modules.get("json") is before
    assert "nothing_at_all" not in sys.modules


def test_patch_function():
    @patcher.patch_function
    def green() -> object:
        import socket

        return socket

    assert green().__name__ == "socket"
    assert green() is not sys.modules["socket"]
    assert patcher.patch_function(green.__wrapped__, ("socket", sys))() is sys


def test_slurp_properties():
    names: dict[str, object] = {}
    patcher.slurp_properties(textwrap, names, ignore=["dedent"])
    assert "wrap" in names
    assert not {"dedent", "__name__"} & set(names)
    patcher.slurp_properties(textwrap, names, srckeys=["dedent", "nothing"])
    assert "dedent" in names
    assert "nothing" not in names


def test_current_thread_of_green_threads():
    said = run(
        """
        eventlet.monkey_patch()
        import threading
        def test():
            global thread
            thread = threading.current_thread()
            assert thread is threading.currentThread()
            assert (thread.ident, thread.daemon, thread.is_alive()) == (threading.get_ident(), True, True)
            thread.setName("mine")
            eventlet.sleep(0)
        eventlet.spawn(test)
        eventlet.sleep(0)
        thread.join(0)
        print(type(thread).__name__, thread.get_name(), thread.is_alive())
        thread.join()
        print(thread.is_alive(), len(threading._active))
        names = []
        eventlet.spawn_n(lambda: names.append(threading.current_thread().name))
        eventlet.sleep(0)
        real = threading.Thread(target=lambda: names.append(threading.current_thread().name), name="real")
        real.start(), real.join()
        native = patcher.original("threading")
        other = native.Thread(target=lambda: names.append(threading.current_thread().name), name="other")
        other.start(), other.join()
        def fails():
            global thread
            thread = threading.current_thread()
            raise TimeoutError("its own")
        green = eventlet.spawn(fails)
        try:
            green.wait()
        except TimeoutError:
            pass
        try:
            thread.join()
        except TimeoutError as error:
            names.append(str(error))
        print(names)
        """
    )
    assert said == "_GreenThread mine True\nFalse 1\n['MainThread', 'real', 'other', 'its own']\n"


def test_the_hub_of_the_environment():
    said = run(
        "from greenserve_hub import get_hub; print(get_hub().poller.name, eventlet.hubs.get_hub())",
        EVENTLET_HUB="poll",
    )
    assert said.startswith("poll <greenserve_eventlet.hubs.poll.Hub ")


def test_the_hub_of_a_variable_that_the_program_sets():
    said = run(
        """
        import os
        os.environ["EVENTLET_HUB"] = "selects"
        print(eventlet.hubs.get_hub())
        """
    )
    assert said.startswith("<greenserve_eventlet.hubs.selects.Hub ")


def test_tasks_in_green_threads_on_the_asyncio_hub():
    said = run(
        """
        import asyncio
        from greenserve_eventlet.asyncio import spawn_for_awaitable
        async def double(number):
            await asyncio.sleep(0)
            return 2 * number
        print(spawn_for_awaitable(asyncio.create_task(double(3))).wait(), type(eventlet.hubs.get_hub()).__module__)
        """,
        EVENTLET_HUB="asyncio",
    )
    assert said == "6 greenserve_eventlet.hubs.asyncio\n"
