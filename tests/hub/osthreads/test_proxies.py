"""proxies: an object whose methods run in OS threads, and feels like itself."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

import pytest

from greenserve_hub.osthreads.proxies import Proxy


class Told:
    """Keeps in which OS thread each of its methods ran."""

    def __init__(self) -> None:
        self.where: list[int] = []
        self.plain = 1

    def __call__(self, value: Any) -> Any:
        self.where.append(threading.get_ident())
        return value

    method = __call__

    def itself(self) -> Told:
        return self(self)

    def __getitem__(self, key: int) -> int:
        if key > 2:
            raise IndexError(key)
        return self(key)

    def __len__(self) -> int:
        return self(3)

    def __enter__(self) -> Told:
        return self(self)

    def __exit__(self, *error: object) -> bool:
        return self(False)


def test_methods_run_elsewhere() -> None:
    told = Told()
    proxy = Proxy(told)
    assert proxy.method(5) == 5
    assert proxy(6) == 6
    assert proxy[2] == 2
    assert len(proxy) == 3
    assert list(proxy) == [0, 1, 2]
    with proxy as entered:
        assert entered is proxy
    assert told.where
    assert threading.get_ident() not in told.where


def test_attributes_are_the_objects_own() -> None:
    told = Told()
    proxy = Proxy(told)
    assert proxy.plain == 1
    proxy.plain = 2
    proxy.more = 3
    assert (told.plain, told.more) == (2, 3)  # type: ignore[attr-defined]
    del proxy.more
    assert not hasattr(told, "more")
    with pytest.raises(AttributeError, match="absent"):
        _ = proxy.absent
    assert "method" in dir(proxy)


def test_equality_hash_and_text() -> None:
    one = Proxy("abc")
    assert one == "abc"
    assert one == Proxy("abc")
    assert one != Proxy("x")
    assert hash(one) == hash("abc")
    assert (str(one), repr(one)) == ("abc", "<Proxy of 'abc'>")


def test_containers() -> None:
    proxy = Proxy({"a": 1})
    proxy["b"] = 2
    del proxy["a"]
    assert proxy["b"] == 2
    assert "b" in proxy
    assert bool(proxy)
    assert list(proxy) == ["b"]
    with pytest.raises(KeyError):
        proxy["absent"]


def test_what_methods_return_is_wrapped_on_request() -> None:
    told = Told()
    assert Proxy(told).itself() is told
    for proxy in (Proxy(told, autowrap=[Told]), Proxy(told, autowrap_names=["itself"])):
        again = proxy.itself()
        assert isinstance(again, Proxy)
        assert isinstance(again.itself(), Proxy), "and so are theirs"
        assert again == told


def test_an_iterator_is_stepped_elsewhere_and_ends() -> None:
    proxy = Proxy(iter([1, 2]))
    assert (next(proxy), next(proxy), next(proxy, "end")) == (1, 2, "end")


def test_a_real_driver_written_in_c() -> None:
    connect = Proxy(sqlite3.connect, autowrap=[sqlite3.Connection, sqlite3.Cursor])
    with connect(":memory:", check_same_thread=False) as database:
        database.execute("create table t (n)")
        database.executemany("insert into t values (?)", [(1,), (2,)])
        assert list(database.execute("select n from t order by n")) == [(1,), (2,)]
    database.close()
