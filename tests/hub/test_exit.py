"""Nothing is printed at the interpreter's end, whatever is left over and whatever finalizers do by then."""

from __future__ import annotations

import pytest
from tests.support.programs.patched import run

# Each case is called by finalizers when the interpreter ends, in this order.
_CASES = """
import concurrent.futures, logging, os, queue, select, socket, threading, time
from greenserve_hub import GreenPool, Timeout, get_hub, kill, sleep, spawn, spawn_after, threads
from greenserve_hub.sync import events, locks, queues, semaphores
from greenserve_hub.errors import Deadlock

alive = []

def make():
    log = logging.getLogger("exit")
    log.addHandler(logging.FileHandler(os.devnull))
    held, held_again, condition = threading.Lock(), threading.RLock(), threading.Condition()
    items, simple, own = queue.Queue(), queue.SimpleQueue(), threading.local()
    green_lock, green_items, tokens = locks.Lock(), queues.Queue(), semaphores.Semaphore(0)
    greens, threads_of_pool = GreenPool(3), concurrent.futures.ThreadPoolExecutor(2)
    threads_of_pool.submit(int).result()
    own.value = 1
    timer = threading.Timer(1000, int)
    timer.daemon = True
    timer.start()
    one, other = alive[:] = socket.socketpair()  # these would be finalized first
    reading, writing = os.pipe()
    last_words = []

    def hold():
        with held, held_again:
            sleep(1000)

    def to_be_killed():
        try:
            sleep(1000)
        finally:
            last_words.append("killed")

    unkilled, started_never = spawn(to_be_killed), []
    spawn(hold)
    sleep()
    started_never.append(spawn_after(1000, int))

    def take(lock):
        assert lock.acquire() is True
        lock.release()

    def within(wait, *expected):
        try:
            wait()
        except expected:
            return
        assert not expected, "it did not raise"

    def waits_for_a_condition():
        with condition:
            assert condition.wait(0.001) is False

    def waits_for_ever():
        with condition:
            within(condition.wait, Deadlock)

    def times_out():
        with Timeout(0.001, False):
            sleep(1000)
            raise AssertionError("no timeout")

    def talks():
        one.sendall(b"x")
        assert other.recv(1) == b"x"

    def selects():
        assert select.select([reading], [], [], 0.001)[0] == []
        os.write(writing, b"x")
        assert select.select([reading], [], [], 1)[0] == [reading]
        assert os.read(reading, 1) == b"x"

    def is_local():
        assert own.value == 1
        fresh = threading.local()
        fresh.value = 2
        assert fresh.value == 2

    def kills():
        kill(unkilled)
        assert last_words == ["killed"]
        kill(started_never[0])

    return {
        "log": lambda: log.error("at the %s", "end"),
        "lock": lambda: take(threading.Lock()),
        "rlock": lambda: take(threading.RLock()),
        "a lock that is held": lambda: take(held),
        "an rlock that is held": lambda: take(held_again),
        "a lock that is held, with a timeout": lambda: held.acquire(timeout=0.001),
        "an rlock that is held, with a timeout": lambda: held_again.acquire(timeout=0.001),
        "condition": waits_for_a_condition,
        "condition for ever": waits_for_ever,
        "event": lambda: threading.Event().wait(0.001),
        "event for ever": lambda: within(threading.Event().wait, Deadlock),
        "queue": lambda: (items.put(1), items.get()),
        "queue that is empty": lambda: within(lambda: items.get(timeout=0.001), queue.Empty),
        "simple queue": lambda: (simple.put(1), simple.get()),
        "simple queue for ever": lambda: within(simple.get, Deadlock),
        "time.sleep": lambda: time.sleep(0.001),
        "sleep": lambda: (sleep(0), sleep(0.001)),
        "spawn": lambda: spawn(int),
        "spawn and wait": lambda: spawn(int, "3").wait(),
        "pool": lambda: (greens.spawn(int).wait(), greens.waitall()),
        "execute": lambda: threads.execute(int, "3"),
        "timeout": times_out,
        "socket": talks,
        "select": selects,
        "local": is_local,
        "names": lambda: socket.getaddrinfo("localhost", 80),
        "kill": kills,
        "green lock": lambda: take(green_lock),
        "green queue": lambda: (green_items.put(1), green_items.get()),
        "semaphore": lambda: tokens.acquire(timeout=0.001),
        "timer": timer.cancel,
        "shutdown": lambda: threads_of_pool.shutdown(wait=False),
        "threads": lambda: (threading.current_thread(), threading.get_ident(), threading.enumerate()),
        "hub": get_hub,
        "file": lambda: open(os.devnull).close(),
    }

class Late:
    def __init__(self, cases, say):
        self.cases, self.say = cases, say

    def __del__(self):
        for name, case in self.cases.items():
            try:
                case()
            except BaseException as error:
                self.say(f"{name}: {error!r}\\n".encode())
        self.say(b"all done\\n")

def say(text, write=greenserve_hub.unpatched.os.write):
    write(1, text)
"""


@pytest.mark.parametrize(
    "leave",
    [
        # Garbage, which the collector finds before any module goes.
        "import gc\ngc.set_threshold(1_000_000)\nlate = Late(make(), say)\nlate.itself = late\ndel late",
        "import builtins\nbuiltins.late = Late({'lock': (lambda L=threading.Lock: L().acquire()),"
        " 'sleep': (lambda s=sleep: s(0.001)), 'nap': (lambda s=time.sleep: s(0.001)), 'hub': get_hub,"
        " 'spawn': (lambda s=spawn: s(int).wait())}, say)",  # after all modules
    ],
    ids=["cycle", "after all modules"],
)
def test_what_finalizers_do(leave: str):
    assert run(_CASES + leave, before="import greenserve_hub.unpatched") == "all done\n"


def test_what_is_left_in_globals():
    script = """
    import logging, threading, queue, concurrent.futures, multiprocessing, socket, select
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    _lock, lock, rlock, condition, event = threading.Lock(), threading.Lock(), *map(
        lambda make: make(), (threading.RLock, threading.Condition, threading.Event))
    lock.acquire(), rlock.acquire()
    items, local = queue.Queue(1), threading.local()
    local.handler = logging.StreamHandler()
    items.put(handler)
    executor = concurrent.futures.ThreadPoolExecutor(1)
    executor.submit(int).result()
    timer = threading.Timer(1000, int)
    timer.daemon = True
    timer.start()
    poller, pair = select.poll(), socket.socketpair()
    threading.Thread(target=pair[0].recv, args=(1,), daemon=True).start()
    threading.Thread(target=items.put, args=(1,), daemon=True).start()
    own = greenserve.GreenPool(2), greenserve.get_hub(), greenserve.Timeout(1000)
    greenserve.spawn(greenserve.sleep, 1000)
    greenserve.threads.execute(int)
    greenserve.sleep()
    """
    assert run(script, filters=("ignore::ResourceWarning",)) == ""  # of the sockets, as ever
