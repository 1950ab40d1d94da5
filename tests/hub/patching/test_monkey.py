"""monkey_patch: which groups, what it reports, whom it warns."""

from __future__ import annotations

import json
import py_compile
import sys
import textwrap
import zipfile

import pytest
from tests.support.programs.patched import run

import greenserve
from greenserve_hub.patching import monkey

ALL = "os select signal socket subprocess thread time multiprocessing psycopg"


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ({}, ALL),
        ({"all": True}, ALL),
        ({"thread": False}, "os select signal socket subprocess time multiprocessing psycopg"),
        ({"socket": True}, "socket"),
        ({"socket": True, "thread": False}, "socket"),
        ({"all": False, "time": True}, "time"),
        ({"all": False}, ""),
        ({"builtins": True}, "builtins"),
        ({"all": True, "MySQLdb": True}, f"{ALL} MySQLdb"),
    ],
)
def test_which_groups(asked: dict[str, bool], chosen: str):
    assert monkey._chosen(asked) == chosen.split()


def test_an_unknown_group_is_named():
    with pytest.raises(TypeError, match="'sockets': choose among all, os, select"):
        greenserve.monkey_patch(sockets=True)


def test_this_process_is_not_patched():
    assert not greenserve.is_monkey_patched("socket")


def test_one_group_and_then_the_rest():
    said = run(
        """
        import time, socket
        from greenserve import is_monkey_patched, monkey_patch
        native = [socket.socket]
        print(monkey_patch(time=True).names)
        print([is_monkey_patched(one) for one in ("time", time, "socket")], socket.socket is native[0])
        report = monkey_patch()
        print("time.sleep" in report.names, "socket.socket" in report.names, socket.socket is native[0])
        names = ("socket", "ssl", "threading", "_thread", "selectors", "builtins", "json")
        print([is_monkey_patched(name) for name in names])
        print(monkey_patch() == greenserve.PatchReport())
        """,
        patch=False,
    )
    assert said.splitlines() == [
        "('time.sleep',)",
        "[True, True, False] True",
        "False True False",
        "[True, True, True, True, True, False, False]",
        "True",
    ]


@pytest.mark.parametrize("form", ["source", "compiled", "zipped"])
def test_names_are_replaced_however_their_module_came(form, tmp_path):
    source = tmp_path / "holder.py"
    source.write_text("from time import sleep\n")
    where = tmp_path
    if form == "compiled":
        py_compile.compile(str(source), cfile=str(tmp_path / "holder.pyc"))
        source.unlink()
    elif form == "zipped":
        where = tmp_path / "all.zip"
        with zipfile.ZipFile(where, "w") as archive:
            archive.write(source, "holder.py")
    said = run(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        import holder, time
        greenserve.monkey_patch()
        print(holder.__file__, holder.sleep is time.sleep)
        """,
        str(where),
        patch=False,
    )
    assert said.endswith(" True\n")
    assert str(where) in said


def test_names_that_modules_hold_already_are_replaced():
    said = run(
        """
        import types, sys
        holder = types.ModuleType("holder")
        exec("from time import sleep; from threading import Lock, local; from socket import socket", vars(holder))
        holder.__loader__ = __loader__ if hasattr(__loader__, "get_data") else types.__loader__
        sys.modules["holder"] = holder
        report = greenserve.monkey_patch()
        import socket, threading, time
        print([name for name in report.copies if name.startswith("holder")])
        print(holder.sleep is time.sleep, holder.Lock is threading.Lock, holder.socket is socket.socket)
        """,
        patch=False,
    )
    assert said.splitlines() == [
        "['holder.sleep', 'holder.Lock', 'holder.local', 'holder.socket']",
        "True True True",
    ]


@pytest.mark.parametrize(
    ("imports", "named"),
    [
        ("import requests", "requests"),
        ("import logging", "logging"),
        ("import threading", "threading"),
        ("import ssl", "ssl"),
        ("import requests, logging, threading, ssl", "requests"),
    ],
)
def test_what_comes_too_early_is_named_in_one_warning_and_works(imports: str, named: str):
    said = run(
        """
        import json, warnings
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            greenserve.monkey_patch()
            greenserve.monkey_patch()
        import logging, threading
        logging.getLogger("x").warning  # its lock is there
        meeting = threading.Barrier(100)
        with logging._lock if hasattr(logging, "_lock") else threading.Lock():
            threads = [threading.Thread(target=meeting.wait, args=(30,)) for _ in range(100)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        print(json.dumps([[str(one.message) for one in told], told[0].category.__name__, told[0].filename,
                          type(logging._lock).__name__, not meeting.broken]))
        """,
        patch=False,
        before=imports,
    )
    messages, category, filename, lock, quick = json.loads(said)
    assert len(messages) == 1
    head, _, rest = messages[0].partition(": ")
    assert head.startswith("monkey_patch() was called after the import of ")
    assert named in head.removeprefix("monkey_patch() was called after the import of ").split(", ")
    assert "names and" in rest
    assert rest.endswith(
        "Call it before every other import, or start with `python -m greenserve.patched script.py`."
    )
    assert (category, filename) == ("MonkeyPatchWarning", "<string>")
    assert (lock, quick) == ("ThreadRLock", True)


def test_nobody_is_warned_who_comes_first():
    assert run("import requests, logging, ssl; print('fine')") == "fine\n"


def test_a_lock_that_is_held_stays_and_is_named():
    said = run(
        """
        import threading, types, sys, warnings
        sys.modules["holder"] = holder = types.ModuleType("holder")
        holder.free, holder.held, holder.again = threading.Lock(), threading.Lock(), threading.RLock()
        holder.data, holder.condition, holder.event = threading.local(), threading.Condition(), threading.Event()
        holder.data.value = 5
        class Owner:
            __slots__ = ("lock",)
        class Plain:
            def __init__(self):
                self.lock = threading.RLock()
                self.condition = threading.Condition(self.lock)
        owner, plain, table = Owner(), Plain(), {"key": holder.free}
        owner.lock = holder.free
        holder.held.acquire()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            report = greenserve.monkey_patch()
        print([name for name in report.left])
        print("holder.held" in str(told[0].message))
        kinds = [holder.free, holder.held, holder.again, holder.data, owner.lock, plain.lock, plain.condition._lock]
        print([type(one).__name__ for one in kinds])
        print(owner.lock is holder.free is table["key"], plain.condition._lock is plain.lock, holder.data.value)
        holder.held.release()
        with holder.condition, plain.condition:
            pass
        greenserve.spawn(holder.event.set)
        print(holder.event.wait(10))
        """,
        patch=False,
    )
    assert said.splitlines() == [
        "['holder.held']",
        "True",
        "['ThreadLock', 'lock', 'ThreadRLock', 'local', 'ThreadLock', 'ThreadRLock', 'ThreadRLock']",
        "True True 5",
        "True",
    ]


def test_queues_are_replaced_unless_an_os_thread_may_wait_for_them():
    script = """
        import queue, sys, threading, types, warnings, _thread
        sys.modules["holder"] = holder = types.ModuleType("holder")
        holder.queue = queue.SimpleQueue()
        holder.queue.put("kept")
        if sys.argv[1] == "beside":
            _thread.start_new_thread(holder.queue.get, ())
            while not holder.queue.empty():
                pass
            holder.queue.put("kept")
            gate, begun = _thread.allocate_lock(), _thread.allocate_lock()
            gate.acquire(), begun.acquire()
            _thread.start_new_thread(lambda: (begun.release(), gate.acquire()), ())
            begun.acquire()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = greenserve.monkey_patch()
        print(type(holder.queue).__module__, "holder.queue" in report.left, holder.queue.get())
    """
    assert run(script, "alone", patch=False) == "queue False kept\n"
    assert run(script, "beside", patch=False) == "_queue True kept\n"


def test_a_lazy_object_is_not_asked():
    said = run(
        """
        import threading
        class Lazy:
            def __init__(self):
                object.__setattr__(self, "lock", threading.Lock())
            @property
            def __class__(self):
                raise RuntimeError("not set up yet")
            def __getattr__(self, name):
                raise RuntimeError("not set up yet")
        lazy = Lazy()
        greenserve.monkey_patch()
        print(type(object.__getattribute__(lazy, "lock")).__name__)
        """,
        patch=False,
    )
    assert said == "ThreadLock\n"


def test_ours_stay_native():
    said = run(
        """
        import greenserve_hub.pollers.edge, greenserve_hub.osthreads.thread_pools as pools
        import greenserve_hub.unpatched as natives
        print(type(pools.shared._jobs).__module__, natives.time.sleep.__name__, natives.select.epoll.__module__)
        print(greenserve.threads.execute(lambda: 5))
        """
    )
    assert said == "_queue sleep select\n5\n"


def test_what_is_patched_is_pickled_by_its_name_and_is_the_native_one_where_nothing_is_patched():
    sent = run(
        """
        import _thread, os, pickle, signal, threading, time
        ours = [threading.Lock, threading.RLock, threading.local, _thread.start_new_thread]
        ours += [time.sleep, os.read, signal.signal]
        data = pickle.dumps(ours)
        print(data.hex(), pickle.loads(data) == ours)
        """
    ).split()
    assert sent[1] == "True"
    got = run(
        """
        import pickle, sys
        for one in pickle.loads(bytes.fromhex(sys.argv[1])):
            print(one.__name__, one.__module__.startswith("greenserve"))
        """,
        sent[0],
        patch=False,
    )
    names = ["lock" if sys.version_info >= (3, 13) else "allocate_lock", "RLock", "_local"]
    assert got.splitlines() == [
        f"{name} False" for name in [*names, "start_new_thread", "sleep", "read", "signal"]
    ]


def test_what_a_freezer_has_imported_is_not_told():
    # -W error: a warning would be raised.
    said = run(
        "print(holder.sleep is time.sleep, greenserve.is_monkey_patched(time))",
        before=textwrap.dedent(
            """
            import sys, time, socket, threading
            sys.frozen = True
            holder = sys.modules["pyimod02_importers"] = type(sys)("pyimod02_importers")
            holder.sleep, holder.__loader__ = time.sleep, object()
            """
        ),
    )
    assert said == "True True\n"
