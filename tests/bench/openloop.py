"""An open-loop load generator: requests leave on a schedule, whether or not earlier answers have come.

wrk waits for an answer before it asks again, so a server that stalls for 100 ms is asked less during the
stall, and its p99 looks fine (coordinated omission). Here request i is due at start + i / rate and its
latency counts from that moment, the wait for a free connection included. Plain Python on the load core,
which spins: its ceiling is measured per server by `closed_loop` and the rate kept under it.
"""

import contextlib
import gc
import select
import socket
from collections import deque
from time import perf_counter

from tests.bench.apps.hello import BODY
from tests.bench.connections import REQUEST
from tests.bench.wrk import LoadFailed


@contextlib.contextmanager
def clients(address, count):
    """`count` connected, non-blocking sockets by descriptor, and an epoll that watches them."""
    socks = {}
    epoll = select.epoll()
    gc.disable()  # a collection of ours would count as the server's latency
    try:
        for _ in range(count):
            sock = socket.create_connection(address, timeout=5)
            sock.setblocking(False)
            socks[sock.fileno()] = sock
            epoll.register(sock, select.EPOLLIN)
        yield socks, epoll
    finally:
        gc.enable()
        epoll.close()
        for sock in socks.values():
            sock.close()


def whole(data, received, fd):
    """Whether the answer is complete; keeps an incomplete one. Anything but a 200 ends the measurement."""
    if fd in received:
        data = received.pop(fd) + data
    if not data:
        raise LoadFailed("the server closed a connection")
    if data[9:12] != b"200":
        raise LoadFailed(f"answered {data[:60]!r}")
    if data.endswith(BODY):
        return True
    received[fd] = data
    return False


def closed_loop(address, connections, seconds):
    """Requests/s of this generator and this server, every connection always busy: what both can do."""
    answers = 0
    received = {}
    with clients(address, connections) as (socks, epoll):
        start = perf_counter()
        for sock in socks.values():
            sock.send(REQUEST)
        while perf_counter() - start < seconds:
            for fd, _ in epoll.poll(0.1):
                sock = socks[fd]
                if whole(sock.recv(65536), received, fd):
                    answers += 1
                    sock.send(REQUEST)
        return answers / (perf_counter() - start)


def open_loop(address, connections, rate, seconds):
    """Latencies in milliseconds, sorted, of `rate` requests/s for `seconds`, each from its scheduled moment.

    Raises LoadFailed when answers are still missing two seconds after the last request was due.
    """
    latencies = []
    received = {}
    due_of = {}
    count = int(rate * seconds)
    interval = 1 / rate
    sent = 0
    with clients(address, connections) as (socks, epoll):
        free = deque(socks)
        poll = epoll.poll
        start = perf_counter() + 0.01
        last = start + count * interval + 2
        while len(latencies) < count:
            now = perf_counter()
            due = start + sent * interval
            while due <= now and free and sent < count:
                fd = free.popleft()
                due_of[fd] = due
                socks[fd].send(REQUEST)
                sent += 1
                due = start + sent * interval
            for fd, _ in poll(0):
                if whole(socks[fd].recv(65536), received, fd):
                    latencies.append((perf_counter() - due_of[fd]) * 1e3)
                    free.append(fd)
            if now > last:
                raise LoadFailed(
                    f"{count - len(latencies)} of {count} answers missing at {rate:.0f} requests/s"
                )
    latencies.sort()
    return latencies


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
