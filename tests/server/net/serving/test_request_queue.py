"""request_queue: the queue and its limit, and slots that are lent while a request waits for its own client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Routes, Start, echo, path
from tests.support.servers.running import in_one_hub

from greenserve import Event, Timeout, sleep, spawn
from greenserve.metrics.tally import Tally
from greenserve.net.serving.request_queue import RequestQueue
from greenserve_hub.greenthreads.greenthreads import kill
from greenserve_hub.loop.current import get_hub
from greenserve_hub.testing import fake_clock

_CHUNKED = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na"
_LARGE = bytes(3_000_000)


class _App(Routes):
    """Waits for its client in every way that there is; `inside` are those that run and do not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gate = Event()
        self.order: list[str] = []

    def body(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.order.append("reads")
        body = environ["wsgi.input"].read()
        self.order.append("has read")
        start_response("200 OK", [])
        return [body]

    def pieces(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield from [_LARGE[:100_000]] * 30

    def write(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])(_LARGE)
        return []

    def file(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        (self.folder / "large").write_bytes(_LARGE)
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"]((self.folder / "large").open("rb"))
        return wrapped

    def gated(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.order.append("gated")
        self.gate.wait()
        return path(environ, start_response)

    def index(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        self.order.append(environ["PATH_INFO"])
        return path(environ, start_response)


@contextmanager
def _clients(server: Any, count: int) -> Iterator[list[RawClient]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RawClient(server.address, green=True)) for _ in range(count)]


def _is_whole(server: Any) -> bool:
    """Return True if no slot is lent or held."""
    pool = server.queue.pool
    return (pool.free(), pool.running(), server.stats.waiting_for_client) == (pool.size, 0, 0)


class TestLending:
    """A request that waits for its own client holds no slot."""

    @pytest.mark.parametrize("kind", ["body", "pieces", "write", "file", "100-continue"])
    def test_slow_clients_keep_nobody_out(self, kind: str, tmp_path: Path) -> None:
        data = {
            "body": _CHUNKED,
            "100-continue": b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        }.get(kind, request(f"/{kind}"))
        with (
            in_one_hub(_App(tmp_path), tmp_path, pool=2) as (server, clock),
            _clients(server, 20) as slow,
            _clients(server, 1) as (other,),
        ):
            for client in slow:
                client.send(data)
            sleep(1)
            assert (server.stats.active, server.stats.waiting_for_client, server.stats.queued) == (20, 20, 0)
            began = clock()
            for _ in range(10):
                assert other.get("/now").body == b"/now"
            assert clock() == began
            for client in slow:
                client.close()
            sleep(1)
            assert _is_whole(server)

    def test_and_get_all_when_they_go_on(self, tmp_path: Path) -> None:
        with (
            in_one_hub(_App(tmp_path), tmp_path, pool=2) as (server, _),
            _clients(server, 10) as uploads,
            _clients(server, 10) as downloads,
        ):
            for client in uploads:
                client.send(_CHUNKED)
            for client in downloads:
                client.send(request("/pieces"))
            sleep(1)
            for client in uploads:
                client.send(b"\r\n1\r\nb\r\n0\r\n\r\n")
            assert [client.answer().body for client in uploads] == [b"ab"] * 10
            assert [client.answer().body for client in downloads] == [_LARGE] * 10
            sleep(1)
            assert _is_whole(server)

    def test_who_comes_back_is_first_in_line(self, tmp_path: Path) -> None:
        app = _App(tmp_path)
        with in_one_hub(app, tmp_path, pool=1) as (server, _), _clients(server, 4) as (slow, holds, *others):
            slow.send(_CHUNKED)
            sleep(1)
            holds.send(request("/gated"))
            sleep(1)
            for number, client in enumerate(others):
                client.send(request(f"/{number}"))
            sleep(1)
            slow.send(b"\r\n0\r\n\r\n")
            sleep(1)
            assert app.order == ["reads", "gated"]
            assert (server.stats.active, server.stats.waiting_for_client, server.stats.queued) == (2, 0, 2)
            app.gate.send()
            assert [client.answer().status for client in (slow, holds, *others)] == [200] * 4
            assert app.order == ["reads", "gated", "has read", "/0", "/1"]

    def test_it_can_be_switched_off(self, tmp_path: Path) -> None:
        with (
            in_one_hub(_App(tmp_path), tmp_path, pool=1, pool_overflow=0) as (server, _),
            _clients(server, 2) as (slow, other),
        ):
            slow.send(_CHUNKED)
            sleep(1)
            other.send(request("/other"))
            sleep(1)
            assert (server.stats.active, server.stats.queued) == (1, 1)
            slow.send(b"\r\n0\r\n\r\n")
            assert [slow.answer().body, other.answer().body] == [b"a", b"/other"]

    def test_no_more_than_pool_overflow(self, tmp_path: Path) -> None:
        with (
            in_one_hub(_App(tmp_path), tmp_path, pool=2, pool_overflow=3) as (server, _),
            _clients(server, 9) as slow,
        ):
            for client in slow:
                client.send(_CHUNKED)
            sleep(1)
            assert (server.stats.active, server.stats.waiting_for_client, server.stats.queued) == (5, 3, 4)

    def test_another_green_thread_of_the_app_has_none_to_lend(self, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            return [spawn(environ["wsgi.input"].read).wait()]

        with in_one_hub(app, tmp_path, pool=1) as (server, _), _clients(server, 1) as (slow,):
            slow.send(_CHUNKED)
            sleep(1)
            assert (server.stats.waiting_for_client, server.queue.pool.free()) == (0, 0)
            slow.send(b"\r\n0\r\n\r\n")
            assert slow.answer().body == b"a"
            sleep(1)
            assert _is_whole(server)

    @pytest.mark.parametrize("end", ["close", "reset", "408", "504", "app", "stop"])
    def test_however_it_ends_the_pool_is_whole(self, end: str, tmp_path: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            with Timeout(5 if end == "app" else None, False):
                return echo(environ, start_response)
            start_response("200 OK", [])
            return [b"mine"]

        more = {"request_timeout": 3} if end == "504" else {}
        with in_one_hub(app, tmp_path, pool=1, **more) as (server, _):
            with _clients(server, 3) as clients:
                for client in clients:
                    client.send(_CHUNKED)
                sleep(1)
                assert server.stats.waiting_for_client == 3
                if end == "stop":
                    server.stop(1)
                elif end == "close":
                    for client in clients:
                        client.close()
                elif end == "reset":
                    for client in clients:
                        client.reset()
                else:
                    status = 200 if end == "app" else int(end)
                    assert [client.answer().status for client in clients] == [status] * 3
            sleep(1)
            assert _is_whole(server)

    def test_one_that_is_ended_while_it_waits_for_its_slot(self, tmp_path: Path) -> None:
        app = _App(tmp_path)
        with (
            in_one_hub(app, tmp_path, pool=1, request_timeout=20) as (server, _),
            _clients(server, 2) as (slow, holds),
        ):
            slow.send(_CHUNKED)
            sleep(5)
            holds.send(request("/gated"))
            sleep(1)
            slow.send(b"\r\n0\r\n\r\n")
            assert slow.answer().status == 504  # its time goes on
            app.gate.send()
            assert holds.answer().status == 200
            sleep(1)
            assert _is_whole(server)


class _Request:
    """A Job whose app does what `steps` say."""

    def __init__(self, test: _Count, steps: list[str], random: Random) -> None:
        self.test = test
        self.steps = steps
        self.random = random
        self.interrupted = False

    def queue(self) -> bool:
        return False

    def close(self) -> None: ...

    def run(self, worker: object, now: float) -> None:
        self.test.enter()
        self.interrupted = False
        try:
            for step in self.steps:
                if step == "lends":
                    self._wait_for_client()
                else:
                    sleep(self.random.choice([0, 1]))
        except Timeout:
            pass
        finally:
            self.test.leave(interrupted=self.interrupted)

    def _wait_for_client(self) -> None:
        """As Request does it."""
        test = self.test
        slots = test.queue.slots
        lent = slots.lend()
        test.leave(lent)
        try:
            try:
                with Timeout(self.random.choice([1, 3, None])):
                    sleep(self.random.choice([0, 2]))
            except BaseException:
                if lent:
                    slots.take_back_now()
                raise
            if lent:
                slots.take_back()
        except BaseException:
            self.interrupted = True
            test.enter(lent, True)
            raise
        test.enter(lent)


class _Count:
    """How many are inside and hold a slot."""

    def __init__(self, queue: RequestQueue, size: int) -> None:
        self.queue = queue
        self.size = size
        self.inside = 0
        self.beyond = 0

    def enter(self, counts: bool = True, interrupted: bool = False) -> None:
        self.inside += counts
        self.beyond += interrupted
        assert self.inside <= self.size + self.beyond

    def leave(self, counts: bool = True, interrupted: bool = False) -> None:
        self.inside -= counts
        self.beyond -= interrupted


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(0, 6),
    st.integers(0, 2**32),
    st.lists(st.lists(st.sampled_from(["lends", "works"]), max_size=4), max_size=15),
)
def test_never_more_inside_than_slots_and_the_pool_is_whole_at_the_end(
    size: int, overflow: int, seed: int, requests: list[list[str]]
) -> None:
    random = Random(seed)
    with fake_clock():
        queue = RequestQueue(get_hub(), size, overflow, 1000, Tally())
        count = _Count(queue, size)
        for steps in requests:
            queue.submit(_Request(count, steps, random))  # type: ignore[arg-type]
            if random.random() < 0.3:
                sleep(1)
        for _ in range(5):
            sleep(1)
            members = list(queue.pool.members())
            if members and random.random() < 0.3:
                with suppress(BaseException):
                    kill(random.choice(members))
        sleep(1000)
        assert (count.inside, queue.waiting, queue.slots.lent) == (0, 0, 0)
        assert (queue.pool.free(), queue.pool.running()) == (size, 0)
        queue.pool.release_idle()


class _Answered:
    """A Job whose response is whole, and has a line of the log."""

    since = 0.0

    def __init__(self, queue: RequestQueue, seen: list[str]) -> None:
        self._queue = queue
        self._seen = seen

    def run(self, worker: object, now: float) -> bool:
        self._queue.batch.call_behind(lambda: self._seen.append("line"))
        self._queue.batch.add((self, b"", b""))  # type: ignore[arg-type]
        return True

    def flush(self, first: bytes, second: bytes) -> None:
        self._seen.append("response")


def test_what_comes_behind_the_responses_comes_in_their_turn() -> None:
    seen: list[str] = []
    with fake_clock():
        queue = RequestQueue(get_hub(), 1, 0, 1000, Tally())
        for _ in range(2):
            queue.submit(_Answered(queue, seen))  # type: ignore[arg-type]
        sleep(0)
        assert seen == ["response", "response", "line", "line"]
        queue.batch.call_behind(lambda: seen.append("later"))
        sleep(0)
        assert seen[4:] == ["later"]
        queue.pool.release_idle()


class TestLimitQueue:
    """limit_queue: 503 at once for those for whom the line is too long."""

    def test_the_last_to_come_are_refused(self, tmp_path: Path) -> None:
        app = _App(tmp_path)
        with (
            in_one_hub(app, tmp_path, pool=1, limit_queue=2) as (server, clock),
            _clients(server, 5) as clients,
        ):
            began = clock()
            for client in clients:
                client.send(request("/gated"))
                sleep(0.01)
            for client in clients[3:]:
                answer = client.answer()
                assert (answer.status, answer["retry-after"], answer.closes, client.rest()) == (
                    503,
                    "1",
                    True,
                    b"",
                )
                assert b"limit_queue" in answer.body
            assert clock() - began < 0.1
            assert server.stats.queued == 2
            app.gate.send()
            assert [client.answer().status for client in clients[:3]] == [200] * 3

    def test_a_line_that_only_waits_for_the_processor_is_not_too_long(self, tmp_path: Path) -> None:
        clocks: list[Any] = []

        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            clocks[0].advance(0.02)  # more than a turn
            return path(environ, start_response)

        with (
            in_one_hub(app, tmp_path, pool=1, limit_queue=0) as (server, clock),
            _clients(server, 50) as clients,
        ):
            clocks.append(clock)
            for client in clients:
                client.send(request("/x"))
            assert [client.answer().status for client in clients] == [200] * 50


class TestCounting:
    """What was shed is counted by its reason; the limits' own tests say when that is."""

    def test_by_reason(self, tmp_path):
        app = _App(tmp_path)
        settings = {"pool": 1, "limit_queue": 1, "queue_timeout": "2s", "limit_connections": 3}
        with in_one_hub(app, tmp_path, **settings) as (server, _):
            with _clients(server, 3) as (runs, waits, one_too_many):
                runs.send(request("/gated"))
                sleep(0.1)
                waits.send(request("/a"))
                sleep(0.1)
                one_too_many.send(request("/b"))
                assert one_too_many.answer().status == 503
                assert server.stats.shed_limit_queue == 1
                assert waits.answer().status == 503
                assert server.stats.shed_queue_timeout == 1
                app.gate.send()
                assert runs.answer().status == 200
                sleep(5)
                with _clients(server, 2) as (second, third):
                    for client in (second, third):
                        client.send(request("/gated")).answer()
                    with _clients(server, 1) as (fourth,):  # the longest idle one makes way
                        fourth.send(request("/c")).answer()
                        assert server.stats.shed_made_way == 1
            stats = server.stats
            assert (stats.responses_2xx, stats.responses_5xx, stats.refused) == (4, 2, 2)
            assert stats.bytes_sent > len("/gated") * 3
