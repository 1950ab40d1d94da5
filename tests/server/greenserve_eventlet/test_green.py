"""green: profile, and the modules of other distributions, with stand-ins for those."""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from greenserve_eventlet.green import profile
from greenserve_hub import listen, sleep, spawn, threads
from greenserve_hub.osthreads.proxies import Proxy


def forget(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.delitem(sys.modules, f"greenserve_eventlet.green.{name}", raising=False)


@pytest.mark.parametrize(
    ("module", "needs", "says"),
    [("zmq", "zmq", "pyzmq"), ("MySQLdb", "MySQLdb", "mysqlclient"), ("OpenSSL", "OpenSSL", "pyOpenSSL")],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, needs: str, says: str
) -> None:
    forget(monkeypatch, module)
    monkeypatch.setitem(sys.modules, needs, None)  # as if it was not installed
    with pytest.raises(ImportError, match=f"pip install {says}"):
        __import__(f"greenserve_eventlet.green.{module}")


def test_mysqldb_works_in_os_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[bool] = []
    connections = ModuleType("MySQLdb.connections")
    connections.Connection = lambda: where.append(threads.get_size() > 0) or SimpleNamespace(cursor=list)  # type: ignore[attr-defined]
    for name in ("MySQLdb", "MySQLdb.cursors", "MySQLdb.converters"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "MySQLdb.connections", connections)
    forget(monkeypatch, "MySQLdb")
    green: Any = __import__("greenserve_eventlet.green.MySQLdb", fromlist=["connect"])
    assert green.connections.Connection is green.connect
    connection = green.connect()
    assert isinstance(connection, Proxy)
    assert isinstance(connection.cursor(), Proxy)
    forget(monkeypatch, "MySQLdb")


class TestProfile:
    @pytest.fixture(autouse=True)
    def _no_collection(self) -> Iterator[None]:
        # gc.callbacks (Hypothesis has one) are called in a frame whose own call is not reported yet. The standard
        # Profile fails too then.
        gc.disable()
        yield
        gc.enable()

    def test_green_threads_are_told_apart(self) -> None:
        def inner() -> None:
            sleep(0)

        def outer() -> None:
            greens = [spawn(inner) for _ in range(3)]
            for green in greens:
                green.wait()

        profiler = profile.Profile()
        profiler.runcall(outer)
        calls = {name: timing[0] for (_, _, name), timing in profiler.timings.items()}
        assert calls["outer"] == 1
        assert calls["inner"] == 3

    def test_time_of_others_counts_for_no_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 0.0

        def spin() -> None:
            nonlocal now
            now += 5.0

        def wait(green: Any) -> None:
            green.wait()

        monkeypatch.setattr(
            "greenserve_eventlet.green.profile.time", SimpleNamespace(perf_counter=lambda: now)
        )
        profiler = profile.Profile()
        profiler.runctx("wait(spawn(spin))", {"wait": wait, "spawn": spawn, "spin": spin}, {})
        took = {name: timing[3] for (_, _, name), timing in profiler.timings.items()}
        assert (took["wait"], took["spin"]) == (0.0, 5.0)

    def test_start_and_stop(self) -> None:
        profiler = profile.Profile()
        profiler.start("mine")
        profiler.start("not again")
        sum([1, 2])
        profiler.stop()
        names = {name for _, _, name in profiler.timings}
        assert "mine" in names
        assert "not again" not in names

    def test_run_prints_or_writes(self, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
        profile.run("1 + 1")
        assert "function calls" in capsys.readouterr().out
        profile.runctx("raise SystemExit", {}, {}, str(tmp_path / "stats"))
        assert (tmp_path / "stats").stat().st_size


def test_connections_of_pyopenssl_connect_green(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        """What pyOpenSSL's does with its socket."""

        def __init__(self, context: object, sock: Any) -> None:
            self.get_context = lambda: context
            self.sock = sock

        def __getattr__(self, name: str) -> Any:
            return getattr(self.sock, name)

    forget(monkeypatch, "OpenSSL.SSL", "OpenSSL")
    for name in ("OpenSSL", "OpenSSL.SSL", "OpenSSL.crypto", "OpenSSL.version"):
        module = ModuleType(name)
        vars(module).update(Connection=Connection, __version__="26")
        monkeypatch.setitem(sys.modules, name, module)
    from greenserve_eventlet.green.OpenSSL import SSL

    with listen(("127.0.0.1", 0)) as listener, socket.socket() as sock:
        address = listener.getsockname()
        accepting = spawn(listener.accept)
        SSL.Connection(None, sock).connect(address)
        accepted, peer = accepting.wait()
        accepted.close()
        assert peer == sock.getsockname()
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        SSL.Connection(None, sock).connect(address)
