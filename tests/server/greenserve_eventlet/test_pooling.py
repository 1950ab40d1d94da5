"""pools, db_pool and dagpool."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from greenserve_eventlet.pooling import dagpool, db_pool, pools
from greenserve_hub import Event, Timeout, kill, sleep, spawn
from greenserve_hub.testing import fake_clock


class TestPool:
    def test_an_object_is_made_when_one_is_wanted_and_none_is_free(self) -> None:
        made: list[int] = []
        pool = pools.Pool(max_size=2, create=lambda: made.append(1) or len(made))
        assert [pool.get(), pool.get()] == [1, 2]
        assert pool.free() == 0
        pool.put(1)
        assert (pool.get(), made) == (1, [1, 1])

    def test_the_next_one_waits(self) -> None:
        pool = pools.TokenPool(max_size=1)
        with pool.item() as token:
            waiter = spawn(pool.get)
            sleep(0)
            assert pool.waiting() == 1
        assert waiter.wait() is token

    def test_none_is_lost_if_what_waits_is_killed(self) -> None:
        pool = pools.TokenPool(max_size=1)
        token = pool.get()
        waiters = [spawn(pool.get) for _ in range(2)]
        sleep(0)
        pool.put(token)
        kill(waiters[0])
        assert waiters[1].wait() is token
        pool.put(token)
        assert pool.get() is token

    def test_what_waits_goes_on_when_another_could_not_make_one(self) -> None:
        goes_on = Event()
        made: list[int] = []

        def create() -> int:
            made.append(1)
            if len(made) == 1:
                goes_on.wait()
                raise RuntimeError
            return len(made)

        pool = pools.Pool(max_size=1, create=create)
        first, second = spawn(pool.get), spawn(pool.get)
        sleep(0)
        goes_on.send()
        with pytest.raises(RuntimeError):
            first.wait()
        assert second.wait() == 2

    def test_resize_and_order(self) -> None:
        pool = pools.TokenPool(min_size=2, max_size=2, order_as_stack=True)
        one, other = pool.get(), pool.get()
        pool.put(one)
        pool.put(other)
        assert pool.get() is other
        pool.resize(1)
        pool.put(other)
        assert (pool.current_size, pool.free()) == (1, 1)

    def test_create_is_required(self) -> None:
        with pytest.raises(NotImplementedError, match="create="):
            pools.Pool().get()


class Module:
    """A DB-API module."""

    opened: list[Any]

    def __init__(self) -> None:
        self.opened = []

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        self.opened.append(kwargs)
        return sqlite3.connect(":memory:", check_same_thread=False)


@pytest.mark.parametrize("kind", [db_pool.RawConnectionPool, db_pool.TpooledConnectionPool])
class TestConnections:
    def test_close_gives_back(self, kind: Any) -> None:
        module = Module()
        pool = kind(module, max_size=1)
        for _ in range(2):
            connection = pool.get()
            cursor = connection.cursor()
            cursor.execute("select 1")
            assert cursor.fetchall() == [(1,)]
            assert pool.free() == 0
            connection.close()
            assert not connection
            with pytest.raises(AttributeError, match="given back"):
                connection.cursor()
        assert len(module.opened) == 1
        pool.clear()
        assert (pool.free(), len(pool.free_items)) == (1, 0)

    def test_one_that_fails_is_replaced(self, kind: Any) -> None:
        module = Module()
        pool = kind(module, max_size=1)
        connection = pool.get()
        waiter = spawn(pool.get)
        sleep(0)

        def cleanup(_: Any) -> None:
            raise RuntimeError

        pool.put(connection, cleanup)
        waiter.wait().close()
        assert len(module.opened) == 2
        pool.put(None)
        pool.clear()

    def test_idle_ones_are_closed(self, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        pool = kind(Module(), max_size=2, max_idle=10, max_age=30)
        with pool.item():
            pass
        now = db_pool.time.time()
        monkeypatch.setattr(db_pool.time, "time", lambda: now + 11)
        pool._look()
        sleep(0)
        assert len(pool.free_items) == 0
        pool.clear()

    def test_those_of_age_zero_are_closed_at_once(self, kind: Any) -> None:
        pool = kind(Module(), max_age=0)
        pool.get().close()
        assert (len(pool.free_items), pool.current_size) == (0, 0)


def test_a_database_that_does_not_answer() -> None:
    class Slow:
        @staticmethod
        def connect() -> None:
            sleep(60)

    with fake_clock(), pytest.raises(db_pool.ConnectTimeout):
        db_pool.RawConnectionPool(Slow(), connect_timeout=5).get()


def test_a_pool_for_each_database() -> None:
    module = Module()
    connector = db_pool.DatabaseConnector(module, {"h": {"user": "a"}, "default": {"user": "b"}}, max_size=1)
    pool = connector.get("h", "d")
    assert connector.get("h", "d") is pool
    pool.get().close()
    pool.clear()
    assert module.opened == [{"db": "d", "host": "h", "user": "a"}]
    assert connector.credentials_for("other") == {"user": "b"}


class TestDAGPool:
    def test_values_come_as_they_are_there(self) -> None:
        pool = dagpool.DAGPool({"a": 1})
        pool.spawn("c", "ab", lambda key, results: sum(value for _, value in results))
        sleep(0)
        assert (pool.waiting_for("c"), pool.waiting(), pool.running()) == ({"b"}, 1, 1)
        pool.post("b", 2)
        assert pool["c"] == 3
        assert pool.waitall() == {"a": 1, "b": 2, "c": 3}

    def test_errors_pass_on(self) -> None:
        pool = dagpool.DAGPool()

        def fail(key: str, results: Any) -> None:
            raise ValueError("why")

        pool.spawn("a", (), fail)
        pool.spawn("b", "a", lambda key, results: dict(results))
        with pytest.raises(dagpool.PropagateError, match="why") as told:
            pool.wait("b")
        assert told.value.exc.key == "a"
        assert {key for key, _ in pool.wait_each_exception()} == {"a", "b"}
        assert list(pool.wait_each_success("ab")) == []

    def test_a_key_is_taken_once(self) -> None:
        pool = dagpool.DAGPool([("a", 1)])
        with pytest.raises(dagpool.Collision):
            pool.spawn("a", (), lambda key, results: None)
        with pytest.raises(dagpool.Collision):
            pool.post("a", 2)
        pool.post("a", 2, replace=True)
        pool.spawn("b", "z", lambda key, results: list(results))
        with pytest.raises(dagpool.Collision):
            pool.post("b", 2)
        pool.kill("b")
        pool.post("b", 3)
        assert dict(pool.items()) == {"a": 2, "b": 3}

    def test_waiting_ends_with_a_timeout(self) -> None:
        pool = dagpool.DAGPool()
        with fake_clock(), pytest.raises(Timeout), Timeout(1):
            pool.wait("a")
