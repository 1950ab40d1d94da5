"""binding: from --bind to a socket that listens, or one clear line."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenserve import ConfigError
from greenserve.config.values.binds import parse_bind
from greenserve.net.sockets.binding import name_and_port, open_listener, prepare, reach_of, url_of

pytestmark = pytest.mark.no_hub

Open = Callable[..., socket.socket]


@pytest.fixture
def opened() -> Iterator[Open]:
    """open_listener, whose sockets are closed at the end."""
    socks: list[socket.socket] = []

    def open_(text: str, reuse_port: bool = False, mode: int = 0o660) -> socket.socket:
        socks.append(open_listener(parse_bind(text), 10, reuse_port, mode))
        return socks[-1]

    yield open_
    for sock in socks:
        sock.close()


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) and not sock.getblocking()


class TestTCP:
    def test_a_free_port(self, opened: Open) -> None:
        sock = opened("127.0.0.1:0")
        assert _listens(sock)
        assert sock.getsockname()[1] > 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert not sock.get_inheritable()

    def test_accepted_sockets_send_at_once(self, opened: Open) -> None:
        sock = opened("127.0.0.1:0")
        with socket.create_connection(sock.getsockname()):
            sock.setblocking(True)
            with sock.accept()[0] as accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    @pytest.mark.skipif(sys.platform != "linux", reason="the figures are Linux's")
    def test_the_kernel_holds_little_for_a_client_that_does_not_read(self, opened: Open) -> None:
        sock = opened("127.0.0.1:0")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(sock.getsockname())
            sock.setblocking(True)
            with sock.accept()[0] as accepted:
                accepted.setblocking(False)
                taken = 0
                with contextlib.suppress(BlockingIOError):
                    while taken < 64 << 20:
                        taken += accepted.send(bytes(1 << 20))
        assert 128 << 10 <= taken <= 512 << 10  # 2.5 MiB and more without TCP_NOTSENT_LOWAT

    def test_every_address(self, opened: Open) -> None:
        sock = opened(":0")
        assert sock.getsockname()[0] == "0.0.0.0"
        assert url_of(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"

    def test_a_name_takes_ipv4_first(self, opened: Open) -> None:
        assert opened("localhost:0").getsockname()[0] == "127.0.0.1"

    def test_ipv6_beside_ipv4_at_the_same_port(self, opened: Open) -> None:
        # A connection of another program may hold the same port of IPv4; not twenty times over.
        for attempt in range(20):
            six = opened("[::]:0")
            port = six.getsockname()[1]
            try:
                four = opened(f"0.0.0.0:{port}")
                break
            except ConfigError:
                assert attempt < 19, "0.0.0.0 is never free beside [::]"
        assert (six.family, four.family) == (socket.AF_INET6, socket.AF_INET)
        assert url_of(six) == f"http://[::1]:{port}"
        assert name_and_port(six) == ("::", str(port))

    def test_a_shared_port(self, opened: Open) -> None:
        port = opened("127.0.0.1:0", reuse_port=True).getsockname()[1]
        assert _listens(opened(f"127.0.0.1:{port}", reuse_port=True))

    def test_a_port_in_use_is_named(self, opened: Open) -> None:
        address = f"127.0.0.1:{opened('127.0.0.1:0').getsockname()[1]}"
        with pytest.raises(ConfigError) as caught:
            opened(address)
        assert str(caught.value).startswith(f"cannot listen at {address}: something listens there already")

    def test_an_address_of_another_machine(self, opened: Open) -> None:
        with pytest.raises(ConfigError, match=r"192\.0\.2\.1:80: this machine has no such address"):
            opened("192.0.2.1:80")

    def test_an_unknown_name(self, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*args: object, **kwargs: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr("greenserve.net.sockets.binding.socket.getaddrinfo", unknown)
        with pytest.raises(ConfigError, match=r"'nobody\.invalid' is unknown"):
            opened("nobody.invalid:80")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may")
    def test_a_port_that_is_not_allowed(self, opened: Open) -> None:
        with pytest.raises(ConfigError, match="not allowed"):
            opened("127.0.0.1:1")


class TestUnix:
    @pytest.mark.parametrize("mode", [0o600, 0o660, 0o777])
    def test_a_path_with_its_mode(self, opened: Open, tmp_path: Path, mode: int) -> None:
        before = os.umask(0o077)
        os.umask(before)
        sock = opened(f"unix:{tmp_path}/socket", mode=mode)
        assert _listens(sock)
        assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == mode
        assert os.umask(before) == before
        assert name_and_port(sock) == ("localhost", "80")
        assert url_of(sock) == f"http+unix:{tmp_path}/socket"

    def test_a_stale_socket_is_taken_away(self, opened: Open, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "socket"))
            dead.listen()
        assert _listens(opened(f"unix:{tmp_path}/socket"))

    def test_one_in_use_is_not(self, opened: Open, tmp_path: Path) -> None:
        opened(f"unix:{tmp_path}/socket")
        with pytest.raises(ConfigError, match="something listens there already"):
            opened(f"unix:{tmp_path}/socket")
        assert (tmp_path / "socket").is_socket()

    def test_one_in_use_by_datagrams_is_not_either(self, opened: Open, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(str(tmp_path / "socket"))
            with pytest.raises(ConfigError, match="cannot listen at"):
                opened(f"unix:{tmp_path}/socket")
        assert (tmp_path / "socket").is_socket()

    def test_nor_is_what_is_no_socket(self, opened: Open, tmp_path: Path) -> None:
        (tmp_path / "socket").write_text("precious")
        with pytest.raises(ConfigError, match="is no socket"):
            opened(f"unix:{tmp_path}/socket")
        assert (tmp_path / "socket").read_text() == "precious"

    def test_nor_what_a_link_leads_to(self, opened: Open, tmp_path: Path) -> None:
        (tmp_path / "precious").write_text("precious")
        (tmp_path / "socket").symlink_to("precious")
        with pytest.raises(ConfigError):
            opened(f"unix:{tmp_path}/socket")
        assert (tmp_path / "socket").is_symlink()

    def test_a_folder_that_is_not_there(self, opened: Open, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="the folder does not exist"):
            opened(f"unix:{tmp_path}/none/socket")

    @pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
    def test_one_without_a_file(self, opened: Open) -> None:
        name = f"greenserve-test-{os.getpid()}"
        sock = opened(f"unix:@{name}")
        assert sock.getsockname() == b"\0" + name.encode()
        assert url_of(sock) == f"http+unix:@{name}"
        with pytest.raises(ConfigError, match="something listens there already"):
            opened(f"unix:@{name}")


class TestDescriptor:
    def test_a_socket_that_listens(self, opened: Open) -> None:
        with socket.create_server(("127.0.0.1", 0)) as given:
            sock = opened(f"fd://{given.fileno()}")
            assert sock.getsockname() == given.getsockname()
            assert (_listens(sock), sock.family) == (True, socket.AF_INET)
            assert sock.fileno() != given.fileno()

    def test_a_unix_socket(self, opened: Open, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as given:
            given.bind(str(tmp_path / "socket"))
            assert opened(f"fd://{given.fileno()}").family == socket.AF_UNIX

    def test_what_is_no_socket(self, opened: Open, tmp_path: Path) -> None:
        with (tmp_path / "file").open("w") as file, pytest.raises(ConfigError, match="is no open socket"):
            opened(f"fd://{file.fileno()}")
        with pytest.raises(ConfigError, match="is no open socket"):
            opened("fd://99999")

    def test_what_is_no_stream(self, opened: Open) -> None:
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with datagrams as given, pytest.raises(ConfigError, match="no stream socket"):
            opened(f"fd://{given.fileno()}")

    def test_one_that_is_connected(self, opened: Open) -> None:
        one, other = socket.socketpair()
        with one, other, pytest.raises(ConfigError, match="cannot listen at"):
            opened(f"fd://{one.fileno()}")


def test_prepare_takes_a_programs_own_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert prepare(sock) is sock
        assert not sock.getblocking()


class TestReach:
    """Where it listens besides the one place that its URL names."""

    @pytest.mark.parametrize(
        ("bind", "url", "reach"),
        [
            ("127.0.0.1:0", r"http://127\.0\.0\.1:\d+", ""),
            ("[::1]:0", r"http://\[::1\]:\d+", ""),
            (":0", r"http://127\.0\.0\.1:\d+", " and at all other IPv4 addresses of this machine (0.0.0.0)"),
            ("[::]:0", r"http://\[::1\]:\d+", " and at all other IPv6 addresses of this machine ([::])"),
        ],
    )
    def test_a_bind(self, opened: Open, bind: str, url: str, reach: str) -> None:
        sock = opened(bind)
        assert re.fullmatch(url, url_of(sock))
        assert reach_of(sock) == reach

    def test_a_unix_socket(self, opened: Open, tmp_path: Path) -> None:
        assert reach_of(opened(f"unix:{tmp_path}/socket")) == ""

    def test_one_for_both_families(self) -> None:
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as sock:
            assert reach_of(sock) == " and at all other addresses of this machine ([::])"
