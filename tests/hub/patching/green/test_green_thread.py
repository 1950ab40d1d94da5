"""Threads of a patched program: green threads that look like threads."""

from __future__ import annotations

import json
import sys

import pytest
from tests.support.programs.patched import run


def test_threads_run_side_by_side_and_are_joined():
    said = run(
        """
        import json, threading, time
        def work():
            while not all_seen:
                time.sleep(0.001)
        all_seen = []
        threads = [threading.Thread(target=work, name=f"t{n}") for n in range(100)]
        for thread in threads:
            thread.start()
        alive = sum(thread.is_alive() for thread in threads)
        counted = threading.active_count()
        idents = {thread.ident for thread in threads} | {threading.get_ident()}
        all_seen.append(True)
        for thread in threads:
            thread.join()
        print(json.dumps([alive, counted, len(idents), any(thread.is_alive() for thread in threads),
                          threading.active_count()]))
        """
    )
    assert json.loads(said) == [100, 101, 101, False, 1]


def test_the_program_waits_for_all_but_daemons():
    said = run(
        """
        import threading, time
        threading.Thread(target=lambda: (time.sleep(0.1), print("waited for"))).start()
        threading.Thread(target=lambda: (time.sleep(60), print("not"))  , daemon=True).start()
        print("main ends")
        """
    )
    assert said == "main ends\nwaited for\n"


def test_join_with_a_time_limit_and_of_the_main_thread():
    said = run(
        """
        import threading, time
        gate = threading.Event()
        thread = threading.Thread(target=gate.wait)
        thread.start()
        thread.join(0.01)
        print(thread.is_alive())
        gate.set()
        thread.join()
        main = threading.main_thread()
        print(main.ident == threading.get_ident(), main is threading.current_thread())
        threading.Thread(target=lambda: (main.join(), print("main is over"))).start()
        """
    )
    assert said == "True\nTrue True\nmain is over\n"


def test_errors_are_told_as_threads_tell_them():
    said = run(
        """
        import sys, threading, _thread
        told = []
        threading.excepthook = lambda args: told.append([args.exc_type.__name__, args.thread.name])
        sys.unraisablehook = lambda args: told.append([args.exc_type.__name__, f"{args.err_msg} {args.object}"[:54]])
        def fails():
            raise ValueError
        thread = threading.Thread(target=fails, name="one")
        thread.start(); thread.join()
        _thread.start_new_thread(fails, ())
        _thread.start_new_thread(sys.exit, ())
        greenserve.sleep(0); greenserve.sleep(0)
        print(told)
        for wrong in [(1, ()), (fails, []), (fails, (), [])]:
            try:
                _thread.start_new_thread(*wrong)
            except TypeError as error:
                print(error)
        """
    )
    assert said.splitlines() == [
        "[['ValueError', 'one'], ['ValueError', 'Exception ignored in thread started by <function fails']]",
        "first arg must be callable",
        "2nd arg must be a tuple",
        "optional 3rd arg must be a dictionary",
    ]


def test_what_a_raw_thread_raises_is_printed():
    said = run(
        """
        import io, sys, _thread
        sys.stderr = io.StringIO()
        def fails():
            raise ValueError("no")
        _thread.start_new_thread(fails, ())
        greenserve.sleep(0)
        said, sys.stderr = sys.stderr.getvalue(), sys.__stderr__
        print(said.replace("by:", "by").startswith("Exception ignored in thread started by <function fails"))
        print(said.endswith("ValueError: no\\n"))
        """
    )
    assert said == "True\nTrue\n"


def test_green_threads_of_ours_have_a_current_thread_that_is_forgotten():
    said = run(
        """
        import gc, threading
        names = [greenserve.spawn(lambda: threading.current_thread().name).wait() for _ in range(100)]
        greenserve.sleep(0)
        gc.collect()
        print(all(name.startswith("Dummy") for name in names), threading.active_count(), len(threading._active))
        """
    )
    assert said == "True 1 1\n"


def test_context_variables_begin_empty_in_a_thread_and_locals_are_its_own():
    said = run(
        """
        import contextvars, threading
        name, mine, seen = contextvars.ContextVar("name", default="none"), threading.local(), []
        name.set("main")
        mine.x = 1
        thread = threading.Thread(target=lambda: seen.extend([name.get(), hasattr(mine, "x")]))
        thread.start(); thread.join()
        print(seen, greenserve.spawn(name.get).wait())
        """
    )
    assert said == "['none', False] main\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_thread_names_no_os_thread_but_its_own():
    said = run(
        """
        import threading
        def comm():
            with open("/proc/self/comm") as file:
                return file.read()
        before, seen = comm(), []
        def named():
            seen.append(comm())
            threading.current_thread().name = "another"
            seen.append(comm())
        thread = threading.Thread(target=named, name="a thread")
        thread.start(); thread.join()
        print(seen == [before, before])
        """
    )
    assert said == "True\n"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="a flag of Python 3.14")
def test_each_green_thread_catches_its_own_warnings(monkeypatch):
    monkeypatch.setenv("PYTHON_CONTEXT_AWARE_WARNINGS", "1")
    said = run(
        """
        import threading, time, warnings
        def catches(n):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for _ in range(3):
                    time.sleep(0.001 * (1 + n % 3))
                    warnings.warn(f"by {n}")
            told.append([str(one.message) for one in caught] == [f"by {n}"] * 3)
        before, told, pool = list(warnings.filters), [], greenserve.GreenPool()
        for n in range(9):
            greenserve.spawn(catches, n)
            pool.spawn_n(catches, 10 + n)
            threading.Thread(target=catches, args=(20 + n,)).start()
        while len(told) < 27:
            time.sleep(0.001)
        print(all(told), warnings.filters == before)
        """
    )
    assert said == "True True\n"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="a flag of Python 3.14")
def test_a_thread_has_the_context_that_it_is_given_or_told_to_inherit(monkeypatch):
    script = """
        import contextvars, _thread, threading
        name, seen = contextvars.ContextVar("name", default="none"), []
        name.set("main")
        def see():
            seen.append(name.get())
        for given in None, contextvars.copy_context(), contextvars.Context():
            thread = threading.Thread(target=see, context=given)
            thread.start(); thread.join()
        _thread.start_new_thread(see, ())
        greenserve.sleep(0)
        print(*seen)
        """
    assert run(script) == "none main none none\n"
    monkeypatch.setenv("PYTHON_THREAD_INHERIT_CONTEXT", "1")
    assert run(script) == "main main none none\n"


def test_os_threads_without_a_hub_are_as_they_were():
    said = run(
        """
        import queue, threading, time
        from greenserve import threads
        def in_os_thread():
            inner = threading.Thread(target=seen.append, args=("native",))
            inner.start()
            inner.join()
            time.sleep(0.01)
            with lock:
                pass
            there.put(threading.get_ident())
            return back.get()
        seen, lock, there, back = [], threading.Lock(), queue.Queue(), queue.SimpleQueue()
        lock.acquire()
        call = greenserve.spawn(threads.execute, in_os_thread)
        greenserve.sleep(0.05)
        lock.release()
        print(there.get() != threading.get_ident())
        back.put("done")
        print(call.wait(), seen)
        """
    )
    assert said == "True\ndone ['native']\n"


def test_executors_timers_barriers_and_queues():
    said = run(
        """
        import json, queue, threading
        from concurrent.futures import ThreadPoolExecutor, as_completed
        with ThreadPoolExecutor(50) as pool:
            meeting = threading.Barrier(50)
            futures = [pool.submit(lambda n: (meeting.wait(30), n)[1], n) for n in range(50)]
            total = sum(future.result() for future in as_completed(futures))
        fired = threading.Event()
        threading.Timer(0.01, fired.set).start()
        barrier, box = threading.Barrier(3), queue.Queue(1)
        for n in range(2):
            threading.Thread(target=lambda: (barrier.wait(), box.put("x"))).start()
        barrier.wait(5)
        got = [box.get(timeout=5) for _ in range(2)]
        try:
            box.get(timeout=0.01)
        except queue.Empty:
            got.append("empty")
        print(json.dumps([total, fired.wait(5), got]))
        """
    )
    assert json.loads(said) == [1225, True, ["x", "x", "empty"]]


def test_a_program_that_forks_goes_on_in_both():
    said = run(
        """
        import os, threading, time
        gate, told = threading.Event(), []
        others = [threading.Thread(target=lambda: (gate.wait(), told.append(1)), daemon=n == 2) for n in range(3)]
        for thread in others:
            thread.start()
        lock = threading.Lock()
        read, write = os.pipe()
        def fork():
            if pid := os.fork():
                return os.waitpid(pid, 0)[1]
            # In the child: this thread alone, which is the main one now, and all that a program does goes on.
            gate.set()
            time.sleep(0.01)
            again = threading.Thread(target=told.append, args=(2,))
            again.start()
            again.join()
            os.write(write, f"{told} {threading.active_count()} {[t.is_alive() for t in others]}".encode())
            threading._shutdown()  # as multiprocessing does in its children
            if not in_main:
                return None  # the last thread of a process ends it
            os._exit(0)
        for in_main in (True, False):
            if in_main:
                status = fork()
            else:
                with lock:
                    statuses = []
                    thread = threading.Thread(target=lambda: statuses.append(fork()))
                    thread.start()
                    thread.join()
                    status = statuses[0]
            print(os.waitstatus_to_exitcode(status), os.read(read, 1000).decode())
            print(told, [thread.is_alive() for thread in others])
        gate.set()
        for thread in others:
            thread.join()
        print(told)
        """,
        filters=("ignore:This process:DeprecationWarning",),
    )
    assert said.splitlines() == [
        "0 [2] 1 [False, False, False]",
        "[] [True, True, True]",
        "0 [2] 1 [False, False, False]",
        "[] [True, True, True]",
        "[1, 1, 1]",
    ]


def test_others_run_while_one_waits_for_the_end_of_an_os_thread():
    said = run(
        """
        import threading, time
        from greenserve_hub.osthreads.threads import execute
        gate = greenserve.original("threading").Event()
        def in_os_thread():
            thread = threading.Thread(target=gate.wait)
            thread.start()
            return thread
        thread = execute(in_os_thread)
        thread.join(0.01)
        killed = greenserve.spawn(thread.join)
        waiting = [threading.Thread(target=thread.join) for _ in range(2)]
        for one in waiting:
            one.start()
        time.sleep(0.01)
        print(thread.is_alive(), [one.is_alive() for one in waiting])
        killed.kill()
        gate.set()
        for one in waiting:
            one.join()
        thread.join()
        print(thread.is_alive(), killed.dead)
        """
    )
    assert said.splitlines() == ["True [True, True]", "False True"]


def test_threads_that_were_made_before_the_patch():
    said = run(
        """
        import warnings
        done, (reader, writer) = [], os.pipe()
        running = threading.Thread(target=lambda read=os.read: (read(reader, 1), done.append("ran")))
        running.start()
        later = threading.Thread(target=lambda: done.append(threading.current_thread() is later))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            greenserve.monkey_patch()
        joining = threading.Thread(target=running.join)
        joining.start()
        greenserve.sleep(0.01)
        print(running.is_alive(), joining.is_alive())
        later.start()
        later.join()
        os.write(writer, b"x")
        joining.join()
        print(running.is_alive(), done)
        """,
        patch=False,
        before="import os, threading",
    )
    assert said.splitlines() == ["True True", "False [True, 'ran']"]


def test_green_threads_run_while_the_program_waits_for_its_last_os_thread():
    said = run(
        """
        import os, threading, time
        from greenserve_hub.osthreads.threads import execute
        reader, writer = os.pipe()
        read = greenserve.original("os").read
        def in_os_thread():
            threading.Thread(target=lambda: print(read(reader, 1), flush=True), daemon=False).start()
        execute(in_os_thread)
        threading.Thread(target=lambda: (time.sleep(0.01), os.write(writer, b"x")), daemon=True).start()
        """
    )
    assert said == "b'x'\n"


def test_a_join_that_is_interrupted_says_nothing_of_the_thread():
    """On 3.11 and 3.12 threading.py, when interrupted, takes a thread's lock for one that it has acquired."""
    said = run(
        """
        import threading
        gate = threading.Event()
        thread = threading.Thread(target=gate.wait)
        thread.start()
        try:
            with greenserve.Timeout(0.001):
                thread.join()
        except greenserve.Timeout:
            print(thread.is_alive(), "started" in repr(thread))
        joining = greenserve.spawn(thread.join)
        greenserve.sleep(0.001)
        joining.kill()
        print(thread.is_alive())
        gate.set()
        thread.join()
        print(thread.is_alive())
        """
    )
    assert said.splitlines() == ["True True", "True", "False"]


def test_a_green_thread_that_is_no_thread_is_the_main_one_in_its_child():
    said = run(
        """
        import os, threading
        from greenserve import GreenPool

        def fork():
            if pid := os.fork():
                return os.waitpid(pid, 0)[1]
            main = threading.main_thread()
            assert main is threading.current_thread() and main.ident == threading.get_ident(), main
            assert threading.enumerate() == [main]
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()
            os._exit(7)

        print(os.waitstatus_to_exitcode(GreenPool().spawn(fork).wait()))
        """,
        filters=("ignore:This process:DeprecationWarning",),
    )
    assert said == "7\n"
