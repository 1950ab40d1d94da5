"""`import greenserve` loads the runtime; the server's modules come with the first of its names."""

from __future__ import annotations

import pytest
from tests.support.programs.commands import run_python

import greenserve

_LOADED = "[name for name in sys.modules if name.startswith('greenserve.')]"


def _says(script: str) -> str:
    done = run_python("-c", f"import sys, greenserve\n{script}")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_a_program_of_the_runtime_loads_no_server() -> None:
    assert _says(f"greenserve.monkey_patch(); greenserve.spawn(int).wait(); print({_LOADED})") == "[]"


def test_a_name_of_the_server_loads_it() -> None:
    assert _says(f"greenserve.serve; print('greenserve.net.serving.server' in {_LOADED})") == "True"


def test_one_server_after_the_process_was_patched() -> None:
    script = """
greenserve.monkey_patch()
import urllib.request

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

with greenserve.serve(app, bind="127.0.0.1:0") as server:
    print(urllib.request.urlopen("http://%s:%d/" % server.address).read())
"""
    assert _says(script) == "b'ok'"


def test_dir_has_them_all() -> None:
    assert set(greenserve.__all__) <= set(dir(greenserve))


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="'greenserve' has no attribute 'sirve'"):
        greenserve.sirve  # noqa: B018
