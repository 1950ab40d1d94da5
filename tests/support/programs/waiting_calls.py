"""Two hundred green threads wait in one library's blocking call at once; run by `python -m greenserve.patched`.

    python -m greenserve.patched waiting_calls.py LIBRARY [ADDRESS]

Prints, as JSON, the seconds that a round of calls took, first with nothing to wait for and then with DELAY: their
difference is what waiting costs, whatever the library's own work takes on this machine. Each call has a connection of
its own and returns its number.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from greenserve import spawn

CALLS = 200
DELAY = 0.2
ROUNDS = 5  # at most, until one is quick enough: others may need the machine in one of them

Call = Callable[[int, float], int]


def with_requests(address: str) -> Call:
    import requests

    return lambda number, seconds: int(requests.get(f"{address}/{seconds}/{number}").text)


def with_urllib3(address: str) -> Call:
    import urllib3

    def call(number: int, seconds: float) -> int:
        with urllib3.PoolManager() as pool:
            return int(pool.request("GET", f"{address}/{seconds}/{number}").data)

    return call


def with_http_client(address: str) -> Call:
    from contextlib import closing
    from http.client import HTTPConnection

    def call(number: int, seconds: float) -> int:
        with closing(HTTPConnection(address.removeprefix("http://"))) as connection:
            connection.request("GET", f"/{seconds}/{number}")
            return int(connection.getresponse().read())

    return call


def with_redis(address: str) -> Call:
    import redis

    def call(number: int, seconds: float) -> int:
        with redis.Redis(unix_socket_path=address) as client:
            client.blpop(f"empty {number}", seconds or 0.001)  # 0 would be for ever
            return int(client.echo(str(number)))

    return call


def with_psycopg(address: str) -> Call:
    import psycopg

    return lambda number, seconds: ask_postgres(psycopg.connect, address, number, seconds)


def with_psycopg2(address: str) -> Call:
    import psycopg2

    return lambda number, seconds: ask_postgres(psycopg2.connect, address, number, seconds)


def ask_postgres(connect: Any, address: str, number: int, seconds: float) -> int:
    from contextlib import closing

    with closing(connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT %s FROM pg_sleep(%s)", (number, seconds))
        return cursor.fetchone()[0]


def with_pymysql(address: str) -> Call:
    import pymysql

    def call(number: int, seconds: float) -> int:
        with (
            pymysql.connect(unix_socket=address, ssl_disabled=True) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT %s, SLEEP(%s)", (number, seconds))
            return cursor.fetchone()[0]

    return call


def with_subprocess() -> Call:
    import subprocess

    def call(number: int, seconds: float) -> int:
        done = subprocess.run(
            ["sh", "-c", f"sleep {seconds}; echo {number}"], capture_output=True, check=True
        )
        return int(done.stdout)

    return call


def with_time() -> Call:
    def call(number: int, seconds: float) -> int:
        time.sleep(seconds)
        return number

    return call


def with_queue() -> Call:
    import queue

    def call(number: int, seconds: float) -> int:
        try:
            queue.Queue().get(timeout=seconds)
        except queue.Empty:
            return number
        raise AssertionError("an empty queue gave something")

    return call


def with_futures() -> Call:
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(CALLS)

    def work(number: int, seconds: float) -> int:
        time.sleep(seconds)
        return number

    return lambda number, seconds: executor.submit(work, number, seconds).result()


def a_round(call: Call, seconds: float) -> float:
    """All calls at once: the time from the first spawn to the last end."""

    def timed(number: int) -> tuple[int, float]:
        begun = time.monotonic()
        return call(number, seconds), time.monotonic() - begun

    begun = time.monotonic()
    waiting = [spawn(timed, number) for number in range(CALLS)]
    done = [one.wait() for one in waiting]
    taken = time.monotonic() - begun
    assert [number for number, _ in done] == list(range(CALLS))
    assert min(lasted for _, lasted in done) >= seconds * 0.95, "some did not wait"
    return taken


def main(library: str, *address: str) -> None:
    call = globals()[f"with_{library}"](*address)
    call(0, 0)  # imports, caches
    rounds = []
    while len(rounds) < ROUNDS and (not rounds or rounds[-1][1] - rounds[-1][0] > 3 * DELAY):
        rounds.append((a_round(call, 0), a_round(call, DELAY)))
    print(json.dumps(rounds))


if __name__ == "__main__":
    main(*sys.argv[1:])
