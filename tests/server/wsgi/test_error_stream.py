"""error_stream: wsgi.errors takes what it is given, whatever has become of stderr."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.support.clients.raw import ask, request
from tests.support.servers.apps import Environ, Start, path
from tests.support.servers.running import serving

from greenserve.wsgi import ErrorStream


class _Broken(io.StringIO):
    """A stderr whose pipe has lost its reader."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def _closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stderr", [None, _closed(), _Broken()], ids=["none", "closed", "broken"])
class TestWithoutAStderr:
    def test_it_takes_and_loses(self, stderr: object, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", stderr)
        stream = ErrorStream()
        assert stream.write("text\n") == 5
        stream.writelines(["text\n"])
        stream.flush()
        print("text", file=stream, flush=True)

    def test_a_request_that_writes_to_it_is_answered(
        self, stderr: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
            environ["wsgi.errors"].write("text\n")
            environ["wsgi.errors"].flush()
            return path(environ, start_response)

        monkeypatch.setattr(sys, "stderr", stderr)
        with serving(app) as server:
            assert ask(server.address, request("/a")).body == b"/a"


def test_it_prints_where_stderr_is_by_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = ErrorStream()
    seen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", seen)
    stream.write("text\n")
    assert seen.getvalue() == "text\n"
    assert stream.writable()


def test_bytes_are_the_apps_mistake() -> None:
    with pytest.raises(TypeError, match="takes str, not bytes"):
        ErrorStream().write(b"x")  # type: ignore[arg-type]


def test_a_server_may_be_given_another(tmp_path: Path) -> None:
    seen: list[object] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        seen.append(environ["wsgi.errors"])
        return path(environ, start_response)

    from tests.support.clients.raw import RawClient
    from tests.support.servers.running import own_hub

    from greenserve import Config, Server

    errors = io.StringIO()
    with own_hub():
        server = Server(app, Config.from_settings(bind=f"unix:{tmp_path}/socket"), errors=errors)
        server.start()
        with RawClient(server.address, green=True) as client:
            client.get()
        server.stop(0)
    assert seen == [errors]
