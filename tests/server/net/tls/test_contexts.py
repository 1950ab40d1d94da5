"""contexts: which certificates a server shows, while they change; who may come; what the app is told."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.support.clients.raw import RawClient, request
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.certificates import authority_file, client_context, issue, issue_pair
from tests.support.servers.running import becomes_quiet, in_one_hub, serving
from tests.support.servers.services import program
from tests.support.times import MS, PATIENCE, eventually

from greenserve import Config, Server, serve, sleep, threads
from greenserve.errors import ConfigError
from greenserve.net.tls.contexts import LOOK_EVERY, open_tls

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)


def tells(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Answers with what environ tells of TLS, a line each."""
    start_response("200 OK", [])
    names = [name for name in environ if name.startswith(("SSL_", "HTTPS", "wsgi.url"))]
    return [f"{name}={environ[name]!r}\n".encode() for name in sorted(names)]


def told(address: Any, **client: Any) -> dict[str, str]:
    """The same, read."""
    server_name = client.pop("server_name", "localhost")
    with RawClient(address, tls=client_context(**client), server_name=server_name) as raw:
        lines = raw.get().body.decode().splitlines()
    return {name: str(eval(value)) for name, _, value in (line.partition("=") for line in lines)}


def names(client: RawClient) -> set[str]:
    """In the certificate that a client was shown."""
    assert isinstance(client.sock, ssl.SSLSocket)
    found = client.sock.getpeercert()
    assert found is not None
    return {str(entry[1]) for entry in found["subjectAltName"]}


class TestEnviron:
    def test_of_any_client(self, certificate: Path) -> None:
        with serving(tells, certfile=str(certificate)) as server:
            got = told(server.address)
            assert got == {
                "HTTPS": "on",
                "SSL_CIPHER": "TLS_AES_256_GCM_SHA384",
                "SSL_CLIENT_VERIFY": "NONE",
                "SSL_PROTOCOL": "TLSv1.3",
                "SSL_TLS_SNI": "localhost",
                "wsgi.url_scheme": "https",
            }
            got = told(server.address, maximum_version=ssl.TLSVersion.TLSv1_2, server_name="127.0.0.1")
            assert (got["SSL_PROTOCOL"], got["SSL_TLS_SNI"]) == ("TLSv1.2", "")

    def test_of_a_plain_one_there_is_none(self) -> None:
        with serving(tells) as server, RawClient(server.address) as client:
            assert client.get().body == b"wsgi.url_scheme='http'\n"

    def test_header_fields_cannot_forge_it(self, certificate: Path) -> None:
        with serving(tells, certfile=str(certificate)) as server:
            before = told(server.address)
            with RawClient(server.address, tls=client_context()) as client:
                fields = [
                    "SSL_CLIENT_VERIFY: SUCCESS",
                    "SSL-CLIENT-S-DN: CN=root",
                    "HTTPS: off",
                    "Ssl-Client-Verify: x",
                ]
                assert len(client.get("/", *fields).body.splitlines()) == len(before)

    def test_names_of_all_kinds_are_kept_within_bounds(self, certificate: Path) -> None:
        with serving(tells, certfile=str(certificate)) as server:
            for number in range(70):
                context = client_context(check_hostname=False)
                name = f"{number}.example"
                with RawClient(server.address, tls=context, server_name=name) as client:
                    assert f"SSL_TLS_SNI='{name}'" in client.get().body.decode()
            taker: Any = server.listeners[0]._taker
            assert len(taker._endpoint._tls_environs) <= 64

    def test_a_unix_socket_speaks_it_too(self, certificate: Path, tmp_path: Path) -> None:
        with serving(tells, bind=f"unix:{tmp_path}/s", certfile=str(certificate)) as server:
            assert server.url == f"https+unix:{tmp_path}/s"
            assert told(server.address)["HTTPS"] == "on"


class TestClientCertificates:
    """--client-cert none, optional, required."""

    @pytest.fixture
    def settings(self, certificate: Path, tmp_path: Path) -> dict[str, Any]:
        return {"certfile": str(certificate), "ca_certs": str(authority_file(tmp_path / "ca.pem"))}

    @pytest.fixture(params=["good", "foreign", "expired", "none"])
    def shown(self, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path | None]:
        if request.param == "none":
            return "none", None
        facts: dict[str, Any] = {"common_name": "Ada"}
        if request.param == "foreign":
            facts["by"] = trustme.CA()
        if request.param == "expired":
            facts |= {"not_before": NOW - 9 * DAY, "not_after": NOW - DAY}
        return request.param, issue(tmp_path / "client.pem", "ada@example.org", **facts)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("asked", ["none", "optional", "required"])
    def test_who_may_come(
        self, settings: dict[str, Any], shown: tuple[str, Path | None], asked: str, version: ssl.TLSVersion
    ) -> None:
        kind, file = shown
        if asked == "none":
            del settings["ca_certs"]
        with serving(tells, client_cert=asked, **settings) as server:
            welcome = asked == "none" or kind == "good" or (asked == "optional" and kind == "none")
            if welcome:
                got = told(server.address, certfile=file, maximum_version=version)
                verified = asked != "none" and kind == "good"
                assert got["SSL_CLIENT_VERIFY"] == ("SUCCESS" if verified else "NONE")
                assert ("SSL_CLIENT_S_DN" in got) == verified
            else:
                # The alert arrives, and not a reset that leaves the user guessing.
                with pytest.raises(ssl.SSLError, match=r"CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE"):
                    told(server.address, certfile=file, maximum_version=version)
                becomes_quiet(server)
                assert (server.stats.requests, server.stats.handshake_errors) == (0, 1)

    def test_what_the_app_is_told(self, settings: dict[str, Any], tmp_path: Path) -> None:
        client = issue(tmp_path / "client.pem", "ada@example.org", "ada.example", common_name="Ada, CN=root")
        with serving(tells, client_cert="required", **settings) as server:
            got = told(server.address, certfile=client)
        assert got["SSL_CLIENT_S_DN"].startswith(r"CN=Ada\, CN=root,")
        assert got["SSL_CLIENT_I_DN"].endswith("O=greenserve tests")
        assert got["SSL_CLIENT_SAN_Email_0"] == "ada@example.org"
        assert got["SSL_CLIENT_SAN_DNS_0"] == "ada.example"
        assert ssl.PEM_cert_to_DER_cert(got["SSL_CLIENT_CERT"]) in _ders(client)
        assert int(got["SSL_CLIENT_M_SERIAL"], 16)
        start, end = (ssl.cert_time_to_seconds(got[f"SSL_CLIENT_V_{which}"]) for which in ("START", "END"))
        assert start < NOW.timestamp() < end

    def test_the_alert_arrives_though_the_client_is_still_sending(self, settings: dict[str, Any]) -> None:
        # With TLS 1.3 a client may send before it is judged; closing over what it sent would reset the connection.
        with (
            serving(tells, client_cert="required", **settings) as server,
            RawClient(server.address, tls=client_context()) as client,
        ):
            client.sock.settimeout(PATIENCE)
            with contextlib.suppress(ssl.SSLError):
                client.send(request("/", "POST", b"x" * 60_000))
            with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                client.answer()
            assert socket.socket.recv(client.sock, 1) == b""  # an end, and no reset

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_a_resumed_session_keeps_the_identity(
        self, settings: dict[str, Any], tmp_path: Path, version: ssl.TLSVersion
    ) -> None:
        client = issue(tmp_path / "client.pem", "ada@example.org", common_name="Ada")
        context = client_context(certfile=client, maximum_version=version)
        with serving(tells, client_cert="required", **settings) as server:
            with RawClient(server.address, tls=context) as raw:
                assert b"CN=Ada" in raw.get().body
                session = raw.sock.session  # type: ignore[attr-defined]
            with RawClient(server.address, tls=context, session=session) as raw:
                assert raw.sock.session_reused  # type: ignore[attr-defined]
                assert b"CN=Ada" in raw.get().body


def _ders(file: Path) -> list[bytes]:
    blocks = file.read_text().split("-----BEGIN CERTIFICATE-----")[1:]
    return [ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----{one.rstrip()}\n") for one in blocks]


class TestSessions:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_are_resumed(self, certificate: Path, version: ssl.TLSVersion) -> None:
        context = client_context(maximum_version=version)
        with serving(tells, certfile=str(certificate)) as server:
            with RawClient(server.address, tls=context) as client:
                client.get()
                session = client.sock.session  # type: ignore[attr-defined]
            with RawClient(server.address, tls=context, session=session) as client:
                assert client.sock.session_reused  # type: ignore[attr-defined]
                assert b"SSL_TLS_SNI='localhost'" in client.get().body

    def test_1_1_is_refused(self, certificate: Path) -> None:
        context = client_context()
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        old = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        old.set_ciphers("ECDHE-ECDSA-AES128-SHA256:AES128-SHA")
        with serving(path, certfile=str(certificate)) as server:
            with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
                RawClient(server.address, tls=context)
            with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
                RawClient(server.address, tls=old)

    def test_alpn(self, certificate: Path) -> None:
        context = client_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            serving(path, certfile=str(certificate)) as server,
            RawClient(server.address, tls=context) as client,
        ):
            assert client.sock.selected_alpn_protocol() == "http/1.1"  # type: ignore[attr-defined]


class TestTheEnd:
    def test_an_answer_that_closes_ends_with_the_alert(self, certificate: Path) -> None:
        # RawClient takes an end without it for an error.
        with (
            serving(path, certfile=str(certificate)) as server,
            RawClient(server.address, tls=client_context()) as client,
        ):
            assert client.get("/", "Connection: close").closes
            assert client.rest() == b""

    def test_one_that_is_cut_off_does_not(self, certificate: Path) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [])
            yield b"half"
            raise ValueError

        with (
            serving(app, certfile=str(certificate)) as server,
            RawClient(server.address, tls=client_context()) as client,
        ):
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
                client.rest()

    def test_a_client_that_closes_tls_is_gone(self, certificate: Path) -> None:
        with serving(path, certfile=str(certificate)) as server:
            with RawClient(server.address, tls=client_context()) as client:
                client.get()
                assert isinstance(client.sock, ssl.SSLSocket)
                client.sock.unwrap()  # waits for our alert
            becomes_quiet(server)


class TestReloading:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return issue(tmp_path / "server.pem", "localhost", "first.example")

    def test_new_connections_get_the_new_one(self, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        with (
            serving(path, certfile=str(file)) as server,
            RawClient(server.address, tls=client_context()) as old,
        ):
            assert "first.example" in names(old)
            issue(file, "localhost", "second.example")
            server.reload_certificates()
            with RawClient(server.address, tls=client_context()) as new:
                assert "second.example" in names(new)
                assert new.get().status == 200
            assert old.get().status == 200
        (line,) = [record.getMessage() for record in caplog.records if "reloaded" in record.getMessage()]
        assert "localhost, second.example until " in line

    @pytest.mark.parametrize("way", ["broken", "gone", "wrong key"])
    def test_a_bad_one_changes_nothing(self, file: Path, tmp_path: Path, way: str) -> None:
        with serving(path, certfile=str(file)) as server:
            if way == "broken":
                file.write_text(file.read_text()[:-300])
            elif way == "gone":
                file.unlink()
            else:
                issue_pair(tmp_path / "c", tmp_path / "k", "localhost")
                key = file.read_text()[: file.read_text().index("-----BEGIN CERT")]
                file.write_text(key + (tmp_path / "c").read_text())
            with pytest.raises(ConfigError, match="certfile: "):
                server.reload_certificates()
            with RawClient(server.address, tls=client_context()) as client:
                assert "first.example" in names(client)
            issue(file, "localhost", "mended.example")
            server.reload_certificates()
            with RawClient(server.address, tls=client_context()) as client:
                assert "mended.example" in names(client)

    def test_authorities_are_read_again_too(self, file: Path, tmp_path: Path) -> None:
        other = trustme.CA()
        ca = authority_file(tmp_path / "ca.pem", by=other)
        client = client_context(certfile=issue(tmp_path / "client.pem", "ada@example.org"))
        settings = {"certfile": str(file), "ca_certs": str(ca), "client_cert": "required"}
        with serving(path, **settings) as server:
            with pytest.raises(ssl.SSLError), RawClient(server.address, tls=client) as raw:
                raw.get()
            authority_file(ca)
            server.reload_certificates()
            with RawClient(server.address, tls=client) as raw:
                assert raw.get().status == 200

    def test_no_request_fails_while_certificates_change(self, file: Path) -> None:
        stop = threading.Event()
        done: list[int] = []
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                while not stop.is_set():
                    with RawClient(server.address, tls=client_context()) as client:
                        for _ in range(3):
                            assert client.get("/x").body == b"/x"
                    done.append(1)
            except BaseException as error:
                failed.append(error)

        with serving(path, certfile=str(file)) as server:
            asking = [threading.Thread(target=ask) for _ in range(4)]
            for thread in asking:
                thread.start()
            for number in range(20):
                before = len(done)
                issue(file, "localhost", f"n{number}.example")
                server.reload_certificates()
                eventually(lambda before=before: len(done) > before or failed)
            stop.set()
            for thread in asking:
                thread.join(PATIENCE)
            assert not failed
            becomes_quiet(server)
            assert server.stats.handshake_errors == 0

    def test_there_is_nothing_to_reload(self, certificate: Path) -> None:
        with serving(path) as server, pytest.raises(ConfigError, match="speaks no TLS"):
            server.reload_certificates()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with serve(path, ssl_context=context) as server, pytest.raises(ConfigError, match="ssl_context"):
            server.reload_certificates()


class TestWatching:
    """The files are looked at every LOOK_EVERY seconds, and read when they have stopped changing."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return issue(tmp_path / "server.pem", "localhost", "first.example")

    @pytest.fixture
    def server(self, file: Path, tmp_path: Path) -> Iterator[Server]:
        threads.set_size(0)  # on the spot: the clock would jump while an OS thread reads
        try:
            with in_one_hub(path, tmp_path, certfile=str(file)) as (server, _):
                yield server
        finally:
            threads.set_size(threads.DEFAULT_SIZE)

    def shown(self, server: Server) -> set[str]:
        with RawClient(server.address, green=True, tls=client_context()) as client:
            return names(client)

    def test_a_new_file(self, server: Server, file: Path) -> None:
        sleep(60)
        issue(file, "localhost", "second.example")
        sleep(LOOK_EVERY * 2 + 1)
        assert "second.example" in self.shown(server)

    def test_is_read_once(self, server: Server, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        issue(file, "localhost", "second.example")
        sleep(60)
        assert len([record for record in caplog.records if "reloaded" in record.getMessage()]) == 1

    def test_is_waited_for_until_it_is_whole(
        self, server: Server, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        whole = issue(tmp_path / "new.pem", "localhost", "second.example").read_text()
        for size in range(0, len(whole), 200):
            file.write_text(whole[:size])
            sleep(LOOK_EVERY * 0.9)
        file.write_text(whole)
        sleep(LOOK_EVERY * 2 + 1)
        assert "second.example" in self.shown(server)
        assert not [record for record in caplog.records if record.levelname == "ERROR"]

    def test_a_broken_one_is_told_of_once_and_tried_again_when_it_changes(
        self, server: Server, file: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file.write_text("nothing")
        sleep(60)
        (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert "keeping the current ones: certfile: " in line
        assert "first.example" in self.shown(server)
        issue(file, "localhost", "mended.example")
        sleep(LOOK_EVERY * 2 + 1)
        assert "mended.example" in self.shown(server)

    def test_links_that_are_turned_to_others(self, tmp_path: Path) -> None:
        # As Kubernetes does: server.pem -> ..data/server.pem, ..data -> a folder for each version.
        threads.set_size(0)
        try:
            for number in (1, 2):
                (tmp_path / f"v{number}").mkdir()
                issue(tmp_path / f"v{number}" / "server.pem", "localhost", f"v{number}.example")
            (tmp_path / "..data").symlink_to("v1")
            (tmp_path / "linked.pem").symlink_to("..data/server.pem")
            with in_one_hub(path, tmp_path, certfile=str(tmp_path / "linked.pem")) as (server, _):
                assert "v1.example" in self.shown(server)
                (tmp_path / "..new").symlink_to("v2")
                os.replace(tmp_path / "..new", tmp_path / "..data")
                sleep(LOOK_EVERY * 2 + 1)
                assert "v2.example" in self.shown(server)
        finally:
            threads.set_size(threads.DEFAULT_SIZE)

    def test_ends_with_the_server(self, file: Path, tmp_path: Path) -> None:
        with in_one_hub(path, tmp_path, certfile=str(file)) as (server, _):
            sleep(LOOK_EVERY + 1)
            hub = server.hub
        assert not len(hub.deadlines)


class TestWarnings:
    def test_of_what_has_expired_or_will_soon(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        old = issue(tmp_path / "old.pem", "old.example", not_before=NOW - 9 * DAY, not_after=NOW - DAY)
        soon = issue(tmp_path / "soon.pem", "soon.example", not_after=NOW + DAY)
        issue(tmp_path / "twin.pem", "soon.example")
        open_tls(Config(certfile=[str(old), str(soon), str(tmp_path / "twin.pem")]), None)
        lines = [record.getMessage() for record in caplog.records]
        assert "old.pem: the certificate has expired: old.example until" in lines[0]
        assert "soon.pem: the certificate expires soon: soon.example until" in lines[1]
        assert "twin.pem is never used: earlier certificates cover all its names" in lines[2]


class TestEmbedded:
    def test_a_context_of_the_programs_own(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        asked: list[str | None] = []
        context.sni_callback = lambda session, name, _: asked.append(name)
        with serve(tells, ssl_context=context, graceful_timeout=0) as server:
            assert server.url.startswith("https://")
            got = told(server.address)
            assert (got["HTTPS"], got["SSL_TLS_SNI"], asked) == ("on", "localhost", ["localhost"])

    def test_contradictions(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for settings, message in [
            ({"certfile": str(certificate), "ssl_context": context}, "certfile or ssl_context, not both"),
            ({"ssl_context": "tls"}, "must be an ssl.SSLContext, not str"),
            ({"redirect_bind": "127.0.0.1:0"}, "redirect_bind needs TLS: give a certfile"),
            ({"client_cert": "required", "ca_certs": "x"}, "client_cert needs TLS"),
            ({"client_cert": "required", "ca_certs": "x", "ssl_context": context}, "go with certfile"),
            ({"certfile": "missing.pem"}, "certfile: missing.pem: No such file"),
        ]:
            with pytest.raises(ConfigError, match=message), serve(path, **settings):
                pass


def _send_and_read_at_once(client: RawClient, data: bytes, end: bytes) -> None:
    """In one thread: before Python 3.13 two must not use a session at the same time."""
    sock = client.sock
    sock.setblocking(False)
    left = memoryview(data)
    while not client.ahead.endswith(end):
        moved = False
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            left = left[sock.send(left[:16384]) :] if left else left
            moved = bool(left)
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            client.more()
            moved = True
        if not moved:
            assert any(select.select([sock], [sock] if left else [], [], PATIENCE)), "nothing moves"
    assert not left


def test_large_bodies_both_ways_to_a_slow_reader(certificate: Path, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        while piece := environ["wsgi.input"].read(70_000):
            yield piece

    with (
        serving(app, certfile=str(certificate)) as server,
        RawClient(server.address, tls=client_context(), receive_buffer=4096) as client,
    ):
        _send_and_read_at_once(client, request("/", "POST", data), b"\r\n0\r\n\r\n")
        assert client.answer().body == data


def test_a_file_goes_out_in_blocks(certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 20_000)

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))
        return wrapped

    with (
        serving(app, certfile=str(certificate)) as server,
        RawClient(server.address, tls=client_context()) as client,
    ):
        assert client.get().body == (tmp_path / "file").read_bytes()


def test_a_client_that_reads_nothing_is_reset(certificate: Path, tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"x" * 10_000_000]

    with (
        in_one_hub(app, tmp_path, certfile=str(certificate), send_timeout=5) as (server, clock),
        RawClient(server.address, green=True, tls=client_context()) as client,
    ):
        client.send(request())
        sleep(1)
        began = clock()
        while server.stats.connections:
            sleep(1)
        assert 3 < clock() - began < 8
        with pytest.raises((ssl.SSLError, ConnectionError)):
            client.answer()


class TestOpenSSL:
    """Its own client, which can do what the ssl module does not let us."""

    @pytest.fixture
    def server(self, certificate: Path) -> Iterator[Server]:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            start_response("200 OK", [("Connection", "close")])
            return [b"\xe9" * 3_000_000]  # what its dumps of tickets never show

        with serving(app, certfile=str(certificate)) as server:
            yield server

    def ask(self, server: Server, *options: str, lines: list[bytes]) -> str:
        command = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port}", *options]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as client:
            assert client.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it may have found reason to end
                for line in lines:
                    client.stdin.write(line)
                    client.stdin.flush()
                    time.sleep(20 * MS)  # it takes the first letter of each read for a command
            return client.communicate(timeout=PATIENCE)[0].decode("latin-1")

    def test_short_records_where_the_client_asks_for_them(self, server: Server) -> None:
        # RFC 6066 §4: a piece is many records then, and the kernel is full in the middle of any.
        text = self.ask(server, "-ign_eof", "-maxfraglen", "512", lines=[request()])
        assert text.count("\xe9") == 3_000_000

    def test_a_closing_alert(self, server: Server) -> None:
        assert "warning close_notify" in self.ask(server, "-ign_eof", "-msg", lines=[request()])

    def test_no_renegotiation(self, server: Server) -> None:
        text = self.ask(server, "-tls1_2", "-legacy_renegotiation", lines=[b"R\n", b"R\n"])
        assert "no renegotiation" in text.lower()
        assert server.stats.requests == 0

    def test_new_keys_as_often_as_a_client_likes(self, server: Server) -> None:
        # RFC 8446 §4.6.3. K asks for new keys on both sides.
        text = self.ask(server, "-tls1_3", lines=[b"K\n"] * 20 + [request()])
        assert text.count("KEYUPDATE") > 1
        eventually(lambda: server.stats.requests == 1)
