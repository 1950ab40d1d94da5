"""One microbenchmark of one runtime, in a process of its own; prints a line of JSON.

`python -m tests.bench.roundtrips greenserve|eventlet|gevent spawn_switch|switch|event|queue SECONDS`
`python -m tests.bench.roundtrips RUNTIME starmap|starmap_switch TASKS`

The loops are the same for all: a runtime is a table of its own functions, bound once outside the loop, so
that no adapter is measured. eventlet's words are used; gevent's AsyncResult is what others call an Event
that carries a value.
"""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from tests.bench.machine import resident_kib

BATCH = 1000


@dataclass(frozen=True)
class Runtime:
    spawn: Callable  # function → green thread
    join: Callable  # green thread → its result
    sleep: Callable
    event: Callable  # → a one-shot event
    send: Callable  # (event, value)
    receive: Callable  # event → value
    queue: Callable
    starmap: Callable  # (pool size, function, argument tuples) → results in order


def greenserve():
    from greenserve import Event, GreenPool, Queue, sleep, spawn

    def starmap(size, function, arguments):
        return GreenPool(size).starmap(function, arguments)

    return Runtime(spawn, type(spawn(int)).wait, sleep, Event, Event.send, Event.wait, Queue, starmap)


def eventlet():
    warnings.simplefilter("ignore")
    from eventlet import GreenPool, Queue, event, sleep, spawn

    def starmap(size, function, arguments):
        return GreenPool(size).starmap(function, arguments)

    kind = event.Event
    return Runtime(spawn, type(spawn(int)).wait, sleep, kind, kind.send, kind.wait, Queue, starmap)


def gevent():
    from gevent import Greenlet, sleep, spawn
    from gevent.event import AsyncResult
    from gevent.pool import Pool
    from gevent.queue import Queue

    def starmap(size, function, arguments):
        # Without maxsize gevent keeps every result that the consumer has not taken yet.
        return Pool(size).imap(lambda one: function(*one), arguments, maxsize=size)

    return Runtime(spawn, Greenlet.get, sleep, AsyncResult, AsyncResult.set, AsyncResult.get, Queue, starmap)


def rate(batch, seconds):
    """Operations/s of a function that does BATCH of them, after one batch that is not counted."""
    batch()
    done = 0
    start = perf_counter()
    while (now := perf_counter()) - start < seconds:
        batch()
        done += BATCH
    return {"rate": done / (now - start)}


def spawn_switch(runtime, seconds):
    """A green thread is made, gives way once, ends, and is waited for."""
    spawn, join, sleep = runtime.spawn, runtime.join, runtime.sleep

    def task():
        sleep(0)

    def batch():
        for thread in [spawn(task) for _ in range(BATCH)]:
            join(thread)

    return rate(batch, seconds)


def switch(runtime, seconds):
    """Two green threads give way to each other."""
    spawn, join, sleep = runtime.spawn, runtime.join, runtime.sleep

    def task():
        for _ in range(BATCH // 2):
            sleep(0)

    def batch():
        for thread in [spawn(task), spawn(task)]:
            join(thread)

    return rate(batch, seconds)


def event(runtime, seconds):
    """One green thread sends, another waits and sends back, two fresh events each time."""
    spawn, join, new, send, receive = (
        runtime.spawn,
        runtime.join,
        runtime.event,
        runtime.send,
        runtime.receive,
    )

    def batch():
        there = [new() for _ in range(BATCH)]
        back = [new() for _ in range(BATCH)]

        def echo():
            for one, other in zip(there, back, strict=True):
                send(other, receive(one))

        thread = spawn(echo)
        for one, other in zip(there, back, strict=True):
            send(one, 1)
            receive(other)
        join(thread)

    return rate(batch, seconds)


def queue(runtime, seconds):
    """An item goes through one queue and comes back through another."""
    spawn, join = runtime.spawn, runtime.join
    there, back = runtime.queue(), runtime.queue()

    def echo():
        for _ in range(BATCH):
            back.put(there.get())

    def batch():
        thread = spawn(echo)
        for _ in range(BATCH):
            there.put(1)
            back.get()
        join(thread)

    return rate(batch, seconds)


def starmap(runtime, tasks):
    """A pool of 1,000 over an input that exists only as it is read; memory from 5 % of the way to the end."""
    return mapped(runtime, int(tasks), lambda a, b: a + b)


def starmap_switch(runtime, tasks):
    """The same with tasks that give way once, so that none of them can be run like a plain function."""
    sleep = runtime.sleep

    def add(a, b):
        sleep(0)
        return a + b

    return mapped(runtime, int(tasks), add)


def mapped(runtime, tasks, function):
    step = max(1, tasks // 20)
    sizes = []
    done = 0
    start = perf_counter()
    for result in runtime.starmap(1000, function, ((one, 1) for one in range(tasks))):
        done += 1
        if result != done:
            raise AssertionError(f"result {done} is {result}: out of order")
        if done % step == 0:
            sizes.append(resident_kib())
    seconds = perf_counter() - start
    if done != tasks:
        raise AssertionError(f"{done} of {tasks} results")
    growth = (max(sizes) - sizes[0]) / 1024
    return {"rate": tasks / seconds, "growth_mib": growth, "resident_kib": [round(one) for one in sizes]}


RUNTIMES = {one.__name__: one for one in (greenserve, eventlet, gevent)}
BENCHMARKS = {one.__name__: one for one in (spawn_switch, switch, event, queue, starmap, starmap_switch)}

if __name__ == "__main__":
    chosen = RUNTIMES[sys.argv[1]]()
    print(json.dumps(BENCHMARKS[sys.argv[2]](chosen, float(sys.argv[3]))))
