"""Trace and profile functions of a patched program: each thread has its own, and so has each green thread."""

from __future__ import annotations

import json
import sys

import pytest
from tests.support.programs.patched import run

# `seen`: by the name of a tracer, the names of the functions that it was told of; others' and the library's left out.
TRACERS = """
import json, sys, threading, time
seen = {}
def tracer(name):
    def trace(frame, event, arg):
        if frame.f_code.co_filename == "<string>" and event in ("call", "return"):
            seen.setdefault(name, []).append(f"{event} {frame.f_code.co_name}")
        return trace
    return trace
def gone_on():
    pass
def work():
    time.sleep(0.01)
    gone_on()
"""
ONE_CALL = ["call work", "call gone_on", "return gone_on", "return work"]


@pytest.mark.parametrize("setter", ["settrace", "setprofile"])
@pytest.mark.parametrize("start", ["threading.Thread(target={}).start()", "greenserve.spawn({})"])
def test_a_function_that_is_set_is_the_own_one_of_who_sets_it(setter, start):
    said = run(
        f"""
        {TRACERS.replace(chr(10), chr(10) + " " * 8)}
        put, get = sys.{setter}, sys.get{setter[3:]}
        ended = []
        def traced(name):
            mine = tracer(name)
            put(mine)
            work()
            assert get() is mine
            put(None)
            work()
            assert get() is None
            ended.append(name)
        def not_traced():
            work(); work()
            assert get() is None
            ended.append("none")
        for one in (lambda: traced("a"), not_traced, lambda: traced("b"), not_traced):
            {start.format("one")}
        while len(ended) < 4:
            time.sleep(0.001)
            assert get() is None
        print(json.dumps(seen))
        """
    )
    assert json.loads(said) == {"a": ONE_CALL, "b": ONE_CALL}


@pytest.mark.parametrize("kind", ["trace", "profile"])
def test_threading_hands_its_function_to_the_threads_that_start(kind):
    said = run(
        f"""
        {TRACERS.replace(chr(10), chr(10) + " " * 8)}
        import _thread
        def starts(function):
            for start in (lambda: threading.Thread(target=work).start(), lambda: greenserve.spawn(work),
                          lambda: pool.spawn_n(work), lambda: _thread.start_new_thread(gone_on, ())):
                threading.set{kind}(function)
                start()
                time.sleep(0.05)
                threading.set{kind}(None)
                print(json.dumps(seen))
                seen.clear()
        pool = greenserve.GreenPool(1)
        pool.spawn_n(work)
        time.sleep(0.05)
        starts(tracer("all"))
        assert sys.get{kind}() is None
        """
    )
    seen = [json.loads(line).get("all") for line in said.splitlines()]
    assert seen == [
        ONE_CALL,
        ONE_CALL,
        ONE_CALL,
        None,
    ]  # a worker that has run untraced, too; a bare thread never


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 brought the functions for all threads")
@pytest.mark.parametrize("kind", ["trace", "profile"])
def test_all_threads_are_those_that_wait_too(kind):
    said = run(
        f"""
        {TRACERS.replace(chr(10), chr(10) + " " * 8)}
        go = threading.Event()
        def waits():
            go.wait(); work()
        threads = [threading.Thread(target=waits) for _ in range(2)]
        for thread in threads:
            thread.start()
        green = greenserve.spawn(waits)
        time.sleep(0)
        everybody = tracer("all")
        threading.set{kind}_all_threads(everybody)
        assert sys.get{kind}() is threading.get{kind}() is everybody
        go.set()
        for one in (*threads, green):
            one.join() if one is not green else one.wait()
        threading.set{kind}_all_threads(None)
        seen["all"] = seen["all"].count("call gone_on")
        assert sys.get{kind}() is threading.get{kind}() is None
        work()
        print(json.dumps(seen))
        """
    )
    assert json.loads(said) == {"all": 3}


def test_a_frame_that_waits_while_nobody_is_traced_loses_no_event():
    # From Python 3.12 on code is rewritten when tracing begins and ends; what waits in a greenlet is overlooked.
    said = run(
        """
        import sys, threading, time
        threading.settrace(lambda *_: None)  # the hub's too
        greenserve.monkey_patch()
        called, told = [], []
        def trace(frame, event, arg):
            if event == "call":
                called.append(frame)
            elif event == "return":
                told.append(called.pop() is frame)
            return trace
        def main():
            for _ in range(3):
                thread = threading.Thread(target=time.sleep, args=(0.001,))  # begins without, as all do
                thread.start()
                thread.join()
        sys.settrace(trace)
        main()
        sys.settrace(None)
        print(len(called), set(told), len(told) > 30)
        """,
        patch=False,
    )
    assert said == "0 {True} True\n"


def test_profilers_see_the_functions_of_their_own_thread():
    script = """
        import {0}, threading, time
        def a(): time.sleep(0.01)
        def b(): time.sleep(0.01); 1
        def profiled(fn):
            profiler = {0}.Profile()
            profiler.runcall(lambda: [fn() for _ in range(3)])
            profiler.create_stats()
            told[fn.__name__] = sorted({{name for _, _, name in profiler.stats if name in ("a", "b")}})
        told = {{}}
        threads = [threading.Thread(target=profiled, args=(fn,)) for fn in {1}]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(told)
        """
    quiet = ("ignore::DeprecationWarning",)  # Python 3.15 would rather have it called profiling.tracing
    assert run(script.format("profile", "(a, b)"), filters=quiet) == "{'a': ['a'], 'b': ['b']}\n"
    if sys.version_info < (3, 12):  # since then one of cProfile's at a time, for all threads
        assert run(script.format("cProfile", "(a, b)")) == "{'a': ['a'], 'b': ['b']}\n"


def test_nothing_is_called_at_a_switch_when_tracing_is_over():
    said = run(
        """
        import greenlet, sys, threading, time
        print(greenlet.gettrace())
        def traced():
            sys.settrace(lambda *_: None); time.sleep(0); print(greenlet.gettrace() is not None); sys.settrace(None)
        thread = threading.Thread(target=traced)
        thread.start(); thread.join()
        time.sleep(0)
        print(greenlet.gettrace())
        """
    )
    assert said == "None\nTrue\nNone\n"


def test_an_os_thread_without_a_hub_has_pythons_own():
    said = run(
        """
        import greenlet, sys
        from greenserve import threads
        def there():
            mine = lambda *_: None
            sys.settrace(mine)
            found = sys.gettrace() is mine, greenlet.gettrace()
            sys.settrace(None)
            return found
        print(threads.execute(there), sys.gettrace())
        """
    )
    assert said == "(True, None) None\n"
