"""Threads of a patched program: green threads that look like threads."""

from __future__ import annotations

import json

from tests.support.patched import run


def test_threads_run_side_by_side_and_are_joined():
    said = run(
        """
        import json, threading, time
        began = time.monotonic()
        threads = [threading.Thread(target=time.sleep, args=(0.1,), name=f"t{n}") for n in range(100)]
        for thread in threads:
            thread.start()
        alive = sum(thread.is_alive() for thread in threads)
        counted = threading.active_count()
        idents = {thread.ident for thread in threads} | {threading.get_ident()}
        for thread in threads:
            thread.join()
        print(json.dumps([alive, counted, len(idents), any(thread.is_alive() for thread in threads),
                          threading.active_count(), time.monotonic() - began < 1]))
        """
    )
    assert json.loads(said) == [100, 101, 101, False, 1, True]


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
        import json, queue, threading, time
        from concurrent.futures import ThreadPoolExecutor, as_completed
        began = time.monotonic()
        with ThreadPoolExecutor(50) as pool:
            futures = [pool.submit(lambda n: (time.sleep(0.1), n)[1], n) for n in range(50)]
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
        print(json.dumps([total, fired.wait(5), got, time.monotonic() - began < 2]))
        """
    )
    assert json.loads(said) == [1225, True, ["x", "x", "empty"], True]


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
