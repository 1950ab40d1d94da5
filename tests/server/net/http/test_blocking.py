"""Apps that call what blocks: in an OS thread it costs their request its time, and no other request any."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from tests.support.clients.raw import RawClient, ask, request
from tests.support.servers.apps import Environ, Start
from tests.support.servers.running import serving
from tests.support.times import PATIENCE, eventually

from greenserve import sleep, threads


def test_requests_that_block_in_os_threads_harm_nobody() -> None:
    gate, waiting = threading.Event(), []

    def blocks() -> bytes:
        waiting.append(1)
        return b"done" if gate.wait(PATIENCE) else b"never"

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [threads.execute(blocks) if environ["PATH_INFO"] == "/blocks" else b"other"]

    with serving(app) as server:
        clients = [RawClient(server.address) for _ in range(5)]
        for client in clients:
            client.send(request("/blocks"))
        eventually(lambda: len(waiting) == 5)
        assert ask(server.address, request()).body == b"other"
        gate.set()
        assert [client.answer().body for client in clients] == [b"done"] * 5
        for client in clients:
            client.close()


def test_requests_and_an_os_thread_share_a_queue() -> None:
    asked: threads.Queue[threads.Queue[bytes] | None] = threads.Queue()

    def work() -> None:
        while (answer := asked.get()) is not None:
            answer.put(b"from an OS thread")

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        answer: threads.Queue[bytes] = threads.Queue()
        asked.put(answer)
        sleep(0)
        return [answer.get(timeout=PATIENCE)]

    worker = threading.Thread(target=work)
    worker.start()
    with serving(app) as server:
        assert [ask(server.address, request()).body for _ in range(20)] == [b"from an OS thread"] * 20
    asked.put(None)
    worker.join()
