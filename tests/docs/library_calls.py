"""Calls of libraries in a patched program, run by `python -m greenserve.patched`; prints `ok` when each is as told.

The server answers a request only when all CALLS of them have come, so clients that wait green get an answer, and others
never.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys

import httpx
import websocket

import greenserve
from greenserve import threads

CALLS = 20


def at_once(call) -> None:
    """Make all calls in green threads of their own."""
    pool = greenserve.GreenPool(CALLS)
    assert list(pool.imap(call, range(CALLS))) == list(range(CALLS))


def with_httpx(number: int) -> int:
    return int(httpx.get(f"{sys.argv[1]}/{number}", timeout=None, trust_env=False).text)


def with_websocket_client(number: int) -> int:
    ws = websocket.create_connection(sys.argv[1].replace("http", "ws", 1) + "/ws")
    try:
        ws.send(str(number))
        return int(ws.recv())
    finally:
        ws.close()


def sqlite_waits_in_c() -> None:
    owner = sqlite3.connect("measured.db", isolation_level=None)
    owner.execute("CREATE TABLE items (id INTEGER)")

    def insert() -> str:
        with sqlite3.connect("measured.db", timeout=0.2) as other:
            try:
                other.execute("INSERT INTO items VALUES (1)")
            except sqlite3.OperationalError as error:
                return str(error)
        return "inserted"

    owner.execute("BEGIN EXCLUSIVE")
    released = greenserve.spawn(owner.execute, "COMMIT")
    assert insert() == "database is locked"  # it would be free if the green thread of `released` had run
    released.wait()

    owner.execute("BEGIN EXCLUSIVE")
    inserted = greenserve.spawn(threads.execute, insert)
    greenserve.sleep(0)
    owner.execute("COMMIT")
    assert inserted.wait() == "inserted"


def scrypt_computes() -> None:
    turns = []

    def count() -> None:
        while True:
            turns.append(1)
            greenserve.sleep(0)

    counting = greenserve.spawn(count)
    arguments = {"salt": b"salt", "n": 2**12, "r": 8, "p": 1}
    hashlib.scrypt(b"secret", **arguments)
    assert not turns
    threads.execute(lambda: hashlib.scrypt(b"secret", **arguments))
    assert turns
    counting.kill()


if __name__ == "__main__":
    at_once(with_httpx)
    at_once(with_websocket_client)
    sqlite_waits_in_c()
    scrypt_computes()
    print("ok")
