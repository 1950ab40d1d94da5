"""certificates: from PEM files to contexts; every error names the file and what to do."""

from __future__ import annotations

import datetime
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.support.servers.certificates import authority, authority_file, client_context, issue, issue_pair
from tests.support.servers.services import program

from greenserve import Config
from greenserve.errors import ConfigError
from greenserve.net.opening.client_hello import server_name_of
from greenserve.net.tls.certificates import Certificate, Certificates, load_certificates

pytestmark = pytest.mark.no_hub

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)


def load(**settings: Any) -> Certificates:
    return load_certificates(Config(**settings))


def of(**settings: Any) -> Sequence[Certificate]:
    return load(**settings).every


def shown(certificates: Certificates, name: str | None) -> set[str]:
    """The names in the certificate that a client gets which asks for `name`."""
    client = client_context(check_hostname=False)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(back, there, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        near.do_handshake()
    hello = there.read()
    there.write(hello)
    asked = server_name_of(hello)
    assert asked is not None
    far = certificates.context_for(asked).wrap_bio(there, back, server_side=True)
    for side in (far, near, far):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    found = near.getpeercert()
    assert found is not None
    return {str(entry[1]) for entry in found["subjectAltName"]}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("names")
    names = {
        "a": ["first.example"],
        "b": ["*.wild.example", "xn--bcher-kva.example"],
        "c": ["exact.wild.example"],
    }
    files = [str(issue(folder / f"{file}.pem", *of_it)) for file, of_it in names.items()]
    return load(certfile=files)


class TestNames:
    """RFC 9525 §6.3."""

    @pytest.mark.parametrize(
        ("asked", "got"),
        [
            ("first.example", "first.example"),
            ("FIRST.Example", "first.example"),
            ("some.wild.example", "*.wild.example"),
            ("exact.wild.example", "exact.wild.example"),  # before the wildcard, which stands first
            ("xn--bcher-kva.example", "*.wild.example"),
            ("bücher.example", "*.wild.example"),
            ("wild.example", "first.example"),  # a wildcard is one label,
            ("a.b.wild.example", "first.example"),  # and not two
            ("unknown.example", "first.example"),
            (None, "first.example"),
            ("localhost", "first.example"),
        ],
    )
    def test_choose_the_certificate(self, three: Certificates, asked: str | None, got: str) -> None:
        assert got in shown(three, asked)

    def test_are_read(self, three: Certificates) -> None:
        assert [sorted(one.names) for one in three.every] == [
            ["first.example"],
            ["*.wild.example", "xn--bcher-kva.example"],
            ["exact.wild.example"],
        ]
        assert all(0 < one.days_left < 365_000 for one in three.every)

    def test_of_addresses(self, tmp_path: Path) -> None:
        (found,) = of(certfile=str(issue(tmp_path / "c.pem", "127.0.0.1", "::1")))
        assert found.names == ("127.0.0.1", "0:0:0:0:0:0:0:1")


class TestFiles:
    def test_key_and_certificate_apart(self, tmp_path: Path) -> None:
        issue_pair(tmp_path / "c.pem", tmp_path / "k.pem", "x.example")
        (found,) = of(certfile=str(tmp_path / "c.pem"), keyfile=str(tmp_path / "k.pem"))
        assert str(found).startswith("x.example until ")

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"certfile: .*missing\.pem: No such file"):
            load(certfile=str(tmp_path / "missing.pem"))
        with pytest.raises(ConfigError, match=r"keyfile: .*missing\.pem: No such file"):
            load(certfile=str(issue(tmp_path / "c.pem", "x")), keyfile=str(tmp_path / "missing.pem"))

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=f"certfile: {tmp_path}: Is a directory"):
            load(certfile=str(tmp_path))

    def test_no_certificate_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "c.pem").write_bytes(b"\x30\x82\xff")
        with pytest.raises(ConfigError, match="no certificate in PEM form"):
            load(certfile=str(tmp_path / "c.pem"))

    def test_no_key(self, tmp_path: Path) -> None:
        issue_pair(tmp_path / "c.pem", tmp_path / "k.pem", "x.example")
        with pytest.raises(ConfigError, match="no private key in PEM form is in it; give its --keyfile"):
            load(certfile=str(tmp_path / "c.pem"))
        with pytest.raises(ConfigError, match="no private key in PEM form is in it; it begins with"):
            load(
                certfile=str(tmp_path / "c.pem"), keyfile=str(tmp_path / "c.pem").replace("c.pem", "./c.pem")
            )

    def test_another_ones_key(self, tmp_path: Path) -> None:
        issue_pair(tmp_path / "c.pem", tmp_path / "k.pem", "x.example")
        issue_pair(tmp_path / "c2.pem", tmp_path / "k2.pem", "x.example")
        with pytest.raises(ConfigError, match=r"c\.pem: the private key .*k2\.pem does not belong to it"):
            load(certfile=str(tmp_path / "c.pem"), keyfile=str(tmp_path / "k2.pem"))

    @pytest.mark.parametrize("part", ["CERTIFICATE", "PRIVATE KEY"])
    def test_damaged(self, tmp_path: Path, part: str) -> None:
        text = issue(tmp_path / "c.pem", "x.example").read_text()
        at = text.index(f"{part}-----") + 40
        (tmp_path / "c.pem").write_text(text[:at] + "!!!!" + text[at + 4 :])
        with pytest.raises(ConfigError, match=r"c\.pem: .*damaged"):
            load(certfile=str(tmp_path / "c.pem"))

    def test_encrypted_keys(self, tmp_path: Path) -> None:
        issue_pair(tmp_path / "c.pem", tmp_path / "plain.pem", "x.example")
        subprocess.run(
            [
                program("openssl"),
                "pkcs8",
                "-topk8",
                "-in",
                "plain.pem",
                "-out",
                "k.pem",
                "-passout",
                "pass:secret",
            ],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        settings = {"certfile": str(tmp_path / "c.pem"), "keyfile": str(tmp_path / "k.pem")}
        with pytest.raises(
            ConfigError, match=r"k\.pem: the private key is encrypted; .*--keyfile-password-file"
        ):
            load(**settings)
        password = tmp_path / "password"
        settings["keyfile_password_file"] = str(password)
        password.write_text("wrong\n")
        with pytest.raises(
            ConfigError, match=r"the password in keyfile_password_file does not open .*k\.pem"
        ):
            load(**settings)
        password.write_text("")
        with pytest.raises(ConfigError, match="it is empty"):
            load(**settings)
        password.write_text("secret\nanything\n")
        assert of(**settings)[0].names == ("x.example",)

    def test_one_that_clients_refuse(self, tmp_path: Path) -> None:
        command = (
            f"{program('openssl')} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x"
        )
        command += " -addext extendedKeyUsage=clientAuth -keyout k.pem -out c.pem"
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
        with pytest.raises(ConfigError, match=r"c\.pem: clients would refuse it: .*purpose"):
            load(certfile=str(tmp_path / "c.pem"), keyfile=str(tmp_path / "k.pem"))

    def test_one_that_signed_itself(self, tmp_path: Path) -> None:
        command = f"{program('openssl')} req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 9"
        command += " -addext subjectAltName=DNS:localhost -keyout k.pem -out c.pem"
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
        (found,) = of(certfile=str(tmp_path / "c.pem"), keyfile=str(tmp_path / "k.pem"))
        assert found.names == ("localhost",)
        assert 8 < found.days_left < 10

    def test_an_expired_one_is_read(self, tmp_path: Path) -> None:
        file = issue(tmp_path / "c.pem", "old.example", not_before=NOW - 9 * DAY, not_after=NOW - DAY)
        (found,) = of(certfile=str(file))
        assert found.names == ("old.example",)
        assert found.days_left < 0

    def test_one_of_an_intermediate_comes_with_its_chain(self, tmp_path: Path) -> None:
        file = issue(tmp_path / "c.pem", "x.example", by=authority().create_child_ca())
        assert shown(load(certfile=str(file)), "x.example") == {"x.example"}


class TestWhatIsSpoken:
    def test_ciphers_nobody_knows(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="ciphers = 'NONE-SUCH': OpenSSL knows none"):
            load(certfile=str(issue(tmp_path / "c.pem", "x")), ciphers="NONE-SUCH")

    def test_the_defaults(self, tmp_path: Path) -> None:
        (found,) = of(certfile=str(issue(tmp_path / "c.pem", "x")))
        context = found.context
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION
        for cipher in context.get_ciphers():
            assert cipher["protocol"] == "TLSv1.3" or "ECDHE" in cipher["name"]
            assert cipher["aead"]

    def test_only_1_3(self, tmp_path: Path) -> None:
        (found,) = of(certfile=str(issue(tmp_path / "c.pem", "x")), tls_min_version=1.3)
        assert found.context.minimum_version == ssl.TLSVersion.TLSv1_3


class TestAuthorities:
    @pytest.fixture
    def server(self, tmp_path: Path) -> dict[str, Any]:
        return {"certfile": str(issue(tmp_path / "c.pem", "x")), "client_cert": "required"}

    def test_in_a_file(self, server: dict[str, Any], tmp_path: Path) -> None:
        (found,) = of(ca_certs=str(authority_file(tmp_path / "ca.pem")), **server)
        assert found.context.verify_mode == ssl.CERT_REQUIRED
        assert len(found.context.get_ca_certs()) == 1

    def test_in_a_folder(self, server: dict[str, Any], tmp_path: Path) -> None:
        folder = tmp_path / "authorities"
        folder.mkdir()
        authority_file(folder / "a.pem")
        authority_file(folder / "b.crt", by=trustme.CA())
        (folder / "README").write_text("no certificate")
        (found,) = of(ca_certs=str(folder), **server)
        assert len(found.context.get_ca_certs()) == 2

    def test_none(self, server: dict[str, Any], tmp_path: Path) -> None:
        folder = tmp_path / "authorities"
        folder.mkdir()
        with pytest.raises(ConfigError, match=r"ca_certs: .*no certificate in PEM form"):
            load(ca_certs=str(folder), **server)
        with pytest.raises(ConfigError, match=r"ca_certs: .*No such file"):
            load(ca_certs=str(tmp_path / "missing"), **server)

    def test_damaged(self, server: dict[str, Any], tmp_path: Path) -> None:
        file = authority_file(tmp_path / "ca.pem")
        text = file.read_text()
        file.write_text(text[:60] + "!!!!" + text[64:])
        with pytest.raises(ConfigError, match=r"ca_certs: .*ca\.pem: "):
            load(ca_certs=str(file), **server)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may read everything.
    def refuse(self: Path, *_: object) -> str:
        raise PermissionError(13, "Permission denied")

    file = issue(tmp_path / "c.pem", "x")
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(
        ConfigError, match=r"certfile: .*c\.pem: Permission denied \(the user who runs the server"
    ):
        load(certfile=str(file))
