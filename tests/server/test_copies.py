"""Sockets and TLS contexts of other copies of the standard library: original() and import_patched() make them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.programs.patched import run
from tests.support.servers.certificates import issue

from greenserve import ConfigError, import_patched, wsgi_server


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return issue(tmp_path / "server.pem", "127.0.0.1")


APP = """
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.url_scheme"].encode()]
"""


@pytest.mark.parametrize("patch", [False, True])
@pytest.mark.parametrize("make", ["import_patched", "original"])
def test_a_context_of_another_copy_serves(make: str, patch: bool, certificate: Path):
    said = run(
        APP
        + """
    import ssl, sys, urllib.request
    from greenserve import original, import_patched, serve
    theirs = eval(sys.argv[1])("ssl")
    context = theirs.create_default_context(theirs.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[2])
    assert not isinstance(context, ssl.SSLContext)
    unchecked = ssl._create_unverified_context()
    with serve(app, ssl_context=context) as server:
        print(server.url[:8], urllib.request.urlopen(server.url, context=unchecked).read())
    """,
        make,
        str(certificate),
        patch=patch,
    )
    assert said == "https:// b'https'\n"


def test_a_socket_of_another_copy_is_served():
    said = run(
        APP
        + """
    import urllib.request
    from greenserve import kill, original, sleep, spawn, wsgi_server
    listener = original("socket").create_server(("127.0.0.1", 0))
    serving = spawn(wsgi_server, listener, app, log_output=False)
    sleep()
    print(urllib.request.urlopen(f"http://127.0.0.1:{listener.getsockname()[1]}").read())
    kill(serving)
    """
    )
    assert said == "b'http'\n"


def test_one_that_speaks_tls_is_refused_whatever_copy_made_it(certificate: Path):
    theirs = import_patched("ssl")
    context = theirs.SSLContext(theirs.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    plain = import_patched("socket").create_server(("127.0.0.1", 0))
    with (
        context.wrap_socket(plain, server_side=True) as sock,
        pytest.raises(ConfigError, match="takes a plain socket"),
    ):
        wsgi_server(sock, lambda environ, start_response: [])
