"""multiprocessing in a patched program: others run while one waits, for all ways of starting a process."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from tests.support.programs.patched import run, run_file
from tests.support.times import MS

METHODS = multiprocessing.get_all_start_methods()
# The parent's OS threads, which rest for a moment after a wait, have nothing that a child could miss.
FORKS = ("ignore:This process:DeprecationWarning", "ignore:.*fork:DeprecationWarning")
TRACEBACKS = (
    "ignore:Module globals is missing:DeprecationWarning"  # of a program that Python 3.15 imports anew
)

# A child that is started anew imports this file: either it is patched then, as its parent is, or it is not.
HEAD = """
import sys
import greenserve
if sys.argv[2:] == ["all"] or __name__ == "__main__":
    greenserve.monkey_patch()
import multiprocessing, os, signal, threading, time
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing.connection import wait as wait_for

MS = {ms}
context = multiprocessing.get_context(sys.argv[1])

class Ticks:
    "Counts how often another green thread ran, and says so at the end if that was never."
    def __enter__(self):
        self.count, self.ends = 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self
    def run(self):
        while not self.ends:
            self.count += 1
            time.sleep(MS)
    def __exit__(self, *exc_info):
        self.ends = True
        self.thread.join()
        if not self.count > 1:
            print("nobody else ran")

def threads(*functions):
    started = [threading.Thread(target=function) for function in functions]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
"""


# A fork of a patched process is patched.
WAYS = [
    (method, who) for method in METHODS for who in ("all", "parent") if (method, who) != ("fork", "parent")
]


@pytest.fixture(params=WAYS, ids="-".join)
def started(request: pytest.FixtureRequest, tmp_path: Path):
    """Runs a script whose processes are started in some way, patched or not."""

    def started(script: str) -> list[str]:
        head = HEAD.format(ms=MS)
        return run_file(
            tmp_path / "program.py", head + script, *request.param, filters=(*FORKS, TRACEBACKS)
        ).splitlines()

    return started


def test_pools_end(started):
    """terminate() waits for a lock that an idle worker holds, until that has got what it is told."""
    assert started("""
def double(n):
    time.sleep(MS)
    return 2 * n
def main():
    for _ in range(3):
        with Ticks(), context.Pool(2) as pool:
            print(pool.map(double, range(5)), pool.apply_async(double, (7,)).get())
    pool = context.Pool(2, maxtasksperchild=1)
    print(sorted(pool.imap_unordered(double, range(4))))
    pool.close()
    pool.join()
    print(multiprocessing.active_children())
if __name__ == "__main__":
    main()
""") == ["[0, 2, 4, 6, 8] 14"] * 3 + ["[0, 2, 4, 6]", "[]"]


def test_executors(started):
    assert started("""
def divide(a, b):
    time.sleep(MS)
    return a / b
def main():
    with Ticks(), ProcessPoolExecutor(2, mp_context=context) as executor:
        futures = [executor.submit(divide, 4, n) for n in (1, 0, 2)]
        done, not_done = wait(futures)
        print(len(done), len(not_done), [one.exception() or one.result() for one in futures])
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(divide, 1, 1).result()
        late = [executor.submit(time.sleep, MS) for _ in range(20)]
        executor.shutdown(cancel_futures=True)
        print(any(one.cancelled() for one in late))
if __name__ == "__main__":
    main()
""") == ["3 0 [4.0, ZeroDivisionError('division by zero'), 2.0]", "True"]


def test_queues(started):
    assert started("""
def echo(requests, answers):
    time.sleep(20 * MS)  # or all is answered before somebody else has run
    while (one := requests.get()) is not None:
        answers.put(one)
        requests.task_done()
    requests.task_done()
def main():
    full = context.Queue(1)
    full.put(1)
    with Ticks():
        threads(lambda: full.put(2, timeout=30), lambda: [time.sleep(20 * MS), print(full.get())])
    print(full.get(timeout=30))
    requests, answers = context.JoinableQueue(2), context.SimpleQueue()
    process = context.Process(target=echo, args=(requests, answers))
    process.start()
    with Ticks():
        threads(
            lambda: [requests.put(n) for n in (*range(10), None)],
            lambda: print([answers.get() for _ in range(10)]),
        )
        requests.join()
        process.join()
    print(process.exitcode)
    with Ticks() as ticks:
        try:
            full.get(timeout=20 * MS)
        except Exception as error:
            print(type(error).__name__)
if __name__ == "__main__":
    main()
""") == ["1", "2", str(list(range(10))), "0", "Empty"]


def test_locks_exclude_green_threads_and_processes(started):
    assert (
        started("""
def enter(lock, guard, inside, most, times):
    for _ in range(times):
        with lock:
            with guard:  # of two who are let in at once
                inside.value += 1
                most.value = max(most.value, inside.value)
            time.sleep(5 * MS)
            with guard:
                inside.value -= 1
def main():
    for make, at_once in (
        (context.Lock, 1),
        (context.RLock, 1),
        (context.Condition, 1),
        (lambda: context.Semaphore(2), 2),
        (lambda: context.BoundedSemaphore(2), 2),
        (lambda: context.Value("i").get_lock(), 1),
    ):
        lock, inside, most = make(), context.Value("i", lock=False), context.Value("i", lock=False)
        arguments = lock, context.Lock(), inside, most, 3
        process = context.Process(target=enter, args=arguments)
        process.start()
        with Ticks():
            threads(*(lambda: enter(*arguments) for _ in range(3)), process.join)
        print(process.exitcode, inside.value, most.value <= at_once)
if __name__ == "__main__":
    main()
""")
        == ["0 0 True"] * 6
    )


def test_conditions_events_and_barriers(started):
    assert started("""
def other(condition, event, barrier, told):
    with condition:
        told.value = 1
        condition.notify_all()
    event.wait()
    barrier.wait()
def main():
    condition, event, barrier, told = context.Condition(), context.Event(), context.Barrier(4), context.Value("i")
    process = context.Process(target=other, args=(condition, event, barrier, told))
    notified = []
    def waits():
        with condition:
            notified.append(condition.wait_for(lambda: told.value, 30))
        notified.append(event.wait(30))
        notified.append(barrier.wait(30) in range(4))
    def sets():
        while len(notified) < 3:
            time.sleep(MS)
        event.set()
    with Ticks():
        threads(waits, waits, waits, process.start, sets)
        process.join()
    print(sorted(notified), process.exitcode)
    with condition, Ticks():
        print(condition.wait(20 * MS))
    # within one process
    threads(lambda: [condition.acquire(), notified.append(condition.wait(30)), condition.release()],
            lambda: [time.sleep(MS), condition.acquire(), condition.notify(), condition.release()])
    print(notified[-1])
if __name__ == "__main__":
    main()
""") == ["[1, 1, 1, True, True, True, True, True, True] 0", "False", "True"]


def test_managers(started):
    """The locks of a manager are threading's, which are sent to its process by name."""
    assert started("""
def main():
    with context.Manager() as manager:
        lock, queue, values, event = manager.Lock(), manager.Queue(), manager.dict(), manager.Event()
        order = []
        def enter():
            with lock:
                order.append("in")
                time.sleep(10 * MS)
                order.append("out")
        with Ticks():
            threads(enter, enter, event.wait, lambda: values.update(a=queue.get()),
                    lambda: [time.sleep(MS), queue.put(1), event.set()])
        print(order, dict(values))
if __name__ == "__main__":
    main()
""") == ["['in', 'out', 'in', 'out'] {'a': 1}"]


def test_connections_and_children(started):
    assert started("""
def answer(connection):
    while (one := connection.recv()) != "end":
        connection.send(one)
        time.sleep(one)
    sys.exit(3)
def main():
    ours, theirs = context.Pipe()
    process = context.Process(target=answer, args=(theirs,))
    process.start()
    with Ticks():
        ours.send(20 * MS)
        print(ours.recv() == 20 * MS, ours.poll(MS), process.is_alive(), process.join(MS))
        ours.send(MS)
        print(ours.poll(30), wait_for([ours, process.sentinel], 30) == [ours])
        ours.recv()
        threads(process.join, lambda: ours.send("end"))
    print(process.exitcode, wait_for([process.sentinel]) == [process.sentinel])
    sleeper = context.Process(target=time.sleep, args=(100,))
    sleeper.start()
    with Ticks():
        threads(sleeper.join, lambda: [time.sleep(20 * MS), sleeper.terminate()])
    print(sleeper.exitcode == -signal.SIGTERM)
if __name__ == "__main__":
    main()
""") == ["True False True None", "True True", "3 True", "True"]


def test_a_process_is_told_much_while_others_run(started):
    """Through a pipe, which is soon full, while the new process still imports."""
    assert started("""
def length(text):
    time.sleep(20 * MS)
    sys.exit(len(text) % 251)
def main():
    process = context.Process(target=length, args=(1_000_000 * b"x",))
    with Ticks() as ticks:
        process.start()
        process.join()
    print(process.exitcode, 1_000_000 % 251)
if __name__ == "__main__":
    main()
""") == ["16 16"]


def test_a_connection_that_is_sent_leaves_signals_alone(started):
    """The thread that hands out descriptors blocks all signals, for itself as it means."""
    assert started("""
def answer(connection):
    connection.recv().send("hello")
    connection.recv()
def main():
    ours, theirs = context.Pipe()
    process = context.Process(target=answer, args=(theirs,))
    process.start()
    one, other = context.Pipe()
    ours.send(other)
    print(one.recv())
    ours.send("end")
    process.join()
    signal.signal(signal.SIGUSR1, lambda *_: print("a signal"))
    os.kill(os.getpid(), signal.SIGUSR1)
if __name__ == "__main__":
    main()
""") == ["hello", "a signal"]


# One process


def test_what_was_made_before_the_patch():
    said = run(
        """
        import multiprocessing.managers, threading, time, warnings
        from multiprocessing.util import ForkAwareThreadLock
        context = multiprocessing.get_context("fork")
        locks = [context.Lock(), context.RLock(), context.Condition(), context.Value("i"), context.Semaphore(1),
                 context.BoundedSemaphore(1), context.Condition(context.Lock()), ForkAwareThreadLock()]
        spawned = multiprocessing.get_context("spawn").RLock()
        held, stays, queue = context.Lock(), context.RLock(), context.Queue(1)
        held.acquire(), stays.acquire(), spawned.acquire(), spawned.release()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            report = greenserve.monkey_patch()
        print([one for one in report.left if "multiprocessing" in one])
        print("multiprocessing.synchronize.Lock._semlock" in report.locks, str(told[0].message).count("RLock"))
        for lock in (*locks, spawned):
            order = []
            def enter():
                lock.acquire()
                order.append("in")
                time.sleep(0.001)
                order.append("out")
                lock.release()
            def too():
                with lock if hasattr(lock, "__enter__") else lock.get_lock():
                    order.append("in")
                    time.sleep(0.001)
                    order.append("out")
            threads = [threading.Thread(target=one) for one in (enter, too, enter)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            print(order == ["in", "out"] * 3, end=" ")
        print()
        waits = threading.Thread(target=held.acquire)
        waits.start()
        time.sleep(0.001)
        held.release(), waits.join()
        stays.release()
        print(held.acquire(False), stays.acquire(False))
        threads = [threading.Thread(target=queue.put, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        print(sorted(queue.get() for _ in threads))
        made = multiprocessing.managers.SyncManager._registry["Lock"][0]
        print(made is threading.Lock)
        """,
        patch=False,
    )
    assert said.splitlines() == [
        "['multiprocessing.synchronize.RLock._semlock']",
        "True 1",
        "True " * 9,
        "False True",
        "[0, 1, 2]",
        "True",
    ]


def test_an_os_thread_without_a_hub_blocks_alone():
    said = run(
        """
        import multiprocessing, time
        from greenserve import threads
        context = multiprocessing.get_context("spawn")
        lock, rlock, event, queue = context.Lock(), context.RLock(), context.Event(), context.Queue()
        lock.acquire(), rlock.acquire()
        def os_thread():
            with lock, rlock:
                event.set()
                return queue.get()
        waits = greenserve.spawn(threads.execute, os_thread)
        greenserve.sleep(0.01)
        print(waits.dead, event.is_set())
        lock.release(), rlock.release()
        print(event.wait(30))
        queue.put("here")
        print(waits.wait(), lock.acquire(False), rlock.acquire(False))
        """
    )
    assert said.splitlines() == ["False False", "True", "here True True"]


def test_who_waits_says_so_in_a_dump():
    said = run(
        """
        import multiprocessing, threading, time
        lock = multiprocessing.get_context("spawn").Lock()
        lock.acquire()
        for name in ("asks", "waits"):
            threading.Thread(target=lock.acquire, name=name, daemon=True).start()
        time.sleep(0.001)
        dump = greenserve.debug.format_threads()
        print(dump.count("acquire <_multiprocessing.SemLock"), "asks" in dump)
        """
    )
    assert said.splitlines()[0] == "1 True"


def test_without_the_keyword_it_stays_as_it_was():
    said = run(
        """
        greenserve.monkey_patch(multiprocessing=False)
        import _multiprocessing
        print(greenserve.is_monkey_patched("multiprocessing"), type(_multiprocessing.SemLock.acquire).__name__)
        report = greenserve.monkey_patch()
        print(report.names, greenserve.is_monkey_patched("_multiprocessing"))
        print(greenserve.original("_multiprocessing").SemLock is _multiprocessing.SemLock)
        import multiprocessing
        native = greenserve.original("multiprocessing.synchronize").Lock(ctx=multiprocessing)
        for lock in (native, multiprocessing.Lock()):
            print(type(lock._semlock.acquire).__name__)
        """,
        patch=False,
    )
    assert said.splitlines() == [
        "False method_descriptor",
        "('_multiprocessing.SemLock',) True",
        "False",
        "builtin_function_or_method",
        "method",
    ]


def test_a_copy_that_is_green_where_nothing_is_patched():
    said = run(
        """
        import multiprocessing
        lock = greenserve.import_patched("multiprocessing.synchronize").Lock(ctx=multiprocessing)
        lock.acquire()
        waits = greenserve.spawn(lock.acquire)
        greenserve.sleep(0.001)
        lock.release()
        print(waits.wait(), type(multiprocessing.Lock()._semlock.acquire).__name__)
        """,
        patch=False,
    )
    assert said == "True builtin_function_or_method\n"


def test_finalizers_take_locks_at_the_end_of_the_interpreter():
    said = run(
        """
        import multiprocessing
        context = multiprocessing.get_context("spawn")
        class Last:
            locks, write = [context.Lock(), context.Semaphore(2)], greenserve.original("os").write
            def __del__(self):
                for lock in self.locks:
                    with lock:
                        self.write(1, f"{lock._semlock._is_mine()} ".encode())
        last = Last()
        last.itself = last
        """
    )
    assert said == "True True "
