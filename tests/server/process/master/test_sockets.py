"""sockets: the listening sockets of all seats, which the master opens, keeps and hands on."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers.running import open_files

from greenserve import Config
from greenserve.errors import ConfigError
from greenserve.process.master.sockets import Sockets

ANY = "127.0.0.1:0"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = open_files()
    yield
    assert {fd: name for fd, name in open_files().items() if fd not in before} == {}


@contextlib.contextmanager
def _opened(seats: int, **settings: Any) -> Iterator[Sockets]:
    with contextlib.closing(Sockets()) as sockets:
        sockets.open(Config.from_settings(**settings), seats)
        yield sockets


def _ports(sockets: Sockets, seat: int) -> list[int]:
    return [sock.getsockname()[1] for sock in sockets.of(seat).serving]


def _accepts(sock: socket.socket) -> bool:
    try:
        sock.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_each_seat_has_its_own_socket_at_one_address_and_connections_spread():
    with _opened(3, bind=ANY) as sockets:
        (first,), (second,), (third,) = (sockets.of(seat).serving for seat in range(3))
        assert len({first.fileno(), second.fileno(), third.fileno()}) == 3
        assert len({sock.getsockname() for sock in (first, second, third)}) == 1
        clients = [socket.create_connection(first.getsockname()) for _ in range(60)]
        for sock in (first, second, third):
            assert _accepts(sock)
        for client in clients:
            client.close()


def test_every_socket_is_set_up_alike():
    with _opened(2, bind=ANY) as sockets:
        for seat in range(2):
            (sock,) = sockets.of(seat).serving
            assert not sock.getblocking()
            assert not sock.get_inheritable()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)


def test_shared_sockets_are_the_same_for_all_seats():
    with _opened(2, bind=ANY, worker_sockets="shared") as sockets:
        assert sockets.of(0) == sockets.of(1)
        assert not sockets.of(0).serving[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert sockets.own_of(0).serving == []


def test_a_unix_socket_is_shared_and_its_file_goes_with_the_last(tmp_path):
    path = tmp_path / "socket"
    with _opened(2, bind=[f"unix:{path}", ANY]) as sockets:
        assert sockets.of(0).serving[0] is sockets.of(1).serving[0]
        assert sockets.of(0).serving[1] is not sockets.of(1).serving[1]
        assert sockets.own_of(1).serving == [sockets.of(1).serving[1]]
        assert path.is_socket()
    assert not path.exists()


def test_a_descriptor_that_was_handed_over_is_shared():
    with (
        socket.create_server(("127.0.0.1", 0)) as given,
        _opened(2, bind=f"fd://{given.fileno()}") as sockets,
    ):
        assert sockets.of(0).serving[0] is sockets.of(1).serving[0]
        assert sockets.of(0).serving[0].getsockname() == given.getsockname()


def test_port_0_twice_is_two_ports_the_same_for_all_seats():
    with _opened(2, bind=[ANY, ANY]) as sockets:
        assert len(set(_ports(sockets, 0))) == 2
        assert _ports(sockets, 0) == _ports(sockets, 1)
        before = [sock.fileno() for sock in sockets.of(1).serving]
        sockets.open(Config.from_settings(bind=[ANY, ANY]), 2)
        assert [sock.fileno() for sock in sockets.of(1).serving] == before


def test_redirecting_sockets_are_told_apart():
    with _opened(2, bind=ANY, redirect_bind=ANY, certfile="x") as sockets:
        given = sockets.of(1)
        assert len(given.serving) == len(given.redirecting) == 1
        assert given.serving[0].getsockname() != given.redirecting[0].getsockname()


def test_ipv6_seats_listen_to_ipv6_alone():
    with _opened(2, bind="[::1]:0") as sockets:
        for seat in range(2):
            (sock,) = sockets.of(seat).serving
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_more_seats_get_sockets_at_the_same_addresses():
    with _opened(1, bind=[ANY, ANY]) as sockets:
        sockets.grow(3, 16)
        assert _ports(sockets, 2) == _ports(sockets, 0)
        sockets.grow(2, 16)  # fewer: those of before are kept
        assert _ports(sockets, 2) == _ports(sockets, 0)


def test_the_port_of_another_server_is_refused_though_both_share_theirs():
    port = _free_port()
    with (
        _opened(2, bind=f"127.0.0.1:{port}"),
        pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1:{port}"),
    ):
        Sockets().open(Config.from_settings(bind=f"127.0.0.1:{port}"), 2)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", [1, 2])
def test_of_two_servers_that_start_in_one_moment_one_is_refused(
    moment: str, step: int, monkeypatch: pytest.MonkeyPatch
):
    """The second one starts right before or after one of the first one's sockets begins to listen."""
    config = Config.from_settings(bind=f"127.0.0.1:{_free_port()}")
    steps: list[int] = []
    failed: list[ConfigError] = []
    listen = socket.socket.listen

    def open_one(sockets: Sockets) -> None:
        try:
            sockets.open(config, 2)
        except ConfigError as error:
            failed.append(error)

    def listening(sock: socket.socket, backlog: int) -> None:
        steps.append(len(steps) + 1)
        is_now = steps[-1] == step
        if is_now and moment == "before":
            open_one(second)
        listen(sock, backlog)
        if is_now and moment == "after":
            open_one(second)

    monkeypatch.setattr("greenserve_hub.unpatched.socket.socket.listen", listening)
    with contextlib.closing(Sockets()) as first, contextlib.closing(Sockets()) as second:
        open_one(first)
        (error,) = failed
        assert "something listens there already" in str(error)
        assert bool(first.addresses) != bool(second.addresses)


def test_with_reuse_port_servers_share_a_port_on_purpose():
    port = _free_port()
    with (
        _opened(2, bind=f"127.0.0.1:{port}", reuse_port=True),
        _opened(2, bind=f"127.0.0.1:{port}", reuse_port=True) as other,
    ):
        assert _ports(other, 1) == [port]


def test_what_cannot_be_opened_leaves_everything_as_it_was():
    with socket.create_server(("127.0.0.1", 0)) as other, _opened(2, bind=ANY) as sockets:
        before = _ports(sockets, 0)
        free, taken = _free_port(), other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1:{taken}"):
            sockets.open(Config.from_settings(bind=[ANY, f"127.0.0.1:{free}", f"127.0.0.1:{taken}"]), 2)
        assert _ports(sockets, 0) == before
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", free))


def test_a_reload_keeps_what_is_named_again_and_closes_the_rest_when_it_is_over(tmp_path):
    first, second = _free_port(), _free_port()
    path = tmp_path / "socket"
    with _opened(2, bind=[f"127.0.0.1:{first}", f"unix:{path}"]) as sockets:
        kept = sockets.of(1).serving[0].fileno()
        sockets.open(Config.from_settings(bind=[f"127.0.0.1:{second}", f"127.0.0.1:{first}"]), 2)
        assert _ports(sockets, 1) == [second, first]
        assert sockets.of(1).serving[1].fileno() == kept
        assert path.exists()
        sockets.drop_unused()
        assert not path.exists()
        socket.create_connection(("127.0.0.1", first)).close()


def test_sockets_of_a_program_take_the_place_of_bind_at_every_reload():
    with socket.create_server(("127.0.0.1", 0)) as own, contextlib.closing(Sockets()) as sockets:
        sockets.take([own])
        for _ in range(2):
            sockets.open(Config.from_settings(redirect_bind=ANY, certfile="x"), 2)
            assert sockets.of(0).serving == sockets.of(1).serving == [own]
            assert len(sockets.of(0).redirecting) == 1
            sockets.drop_unused()


def test_a_worker_keeps_the_sockets_of_its_seat_alone():
    with _opened(3, bind=[ANY, ANY]) as sockets:
        inodes = [[os.fstat(sock.fileno()).st_ino for sock in sockets.of(seat).serving] for seat in range(3)]
        child = os.fork()
        if child == 0:
            sockets.leave_behind(sockets.of(1))
            names = set(open_files().values())
            here = [all(f"socket:[{one}]" in names for one in of_seat) for of_seat in inodes]
            os._exit(0 if here == [False, True, False] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_next_program_goes_on_with_them(tmp_path):
    path = tmp_path / "socket"
    settings = Config.from_settings(bind=[ANY, f"unix:{path}"])
    before = Sockets()
    before.open(settings, 2)
    state, names = before.state(), [sock.getsockname() for sock in before.of(1).serving]
    before.set_inheritable(True)
    assert all(sock.get_inheritable() for sock in before.of(1).serving)
    for sock in {*before.of(0).serving, *before.of(1).serving}:
        sock.detach()  # as exec does
    after = Sockets()
    after.restore(state)
    after.open(settings, 3)
    assert [sock.getsockname() for sock in after.of(1).serving] == names
    assert not any(sock.get_inheritable() for sock in after.of(1).serving)
    assert len(after.own_of(2).serving) == 1
    client = socket.create_connection(names[0])
    assert sum(_accepts(after.of(seat).serving[0]) for seat in range(3)) == 1
    client.close()
    after.close()
    assert not path.exists()


def test_the_file_of_another_server_stays(tmp_path: Path):
    path = tmp_path / "socket"
    with _opened(1, bind=f"unix:{path}"):
        path.unlink()
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(path))
    assert path.exists()
    other.close()
