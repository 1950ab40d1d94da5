"""Apps that start processes while they answer: others are answered meanwhile, and the server still stops."""

from __future__ import annotations

import multiprocessing
import signal
from pathlib import Path

import pytest
from tests.support.clients.raw import RawClient, ask, request
from tests.support.programs.commands import command

APP = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor

def slowly(folder):
    # until another request was answered
    while not os.path.exists(f"{folder}/answered"):
        time.sleep(0.001)
    return 1

def app(environ, start_response):
    kind, folder = environ["PATH_INFO"].strip("/"), os.getcwd()
    if kind == "other":
        open("answered", "w").close()
        answer = "other"
    elif kind == "executor":
        with ProcessPoolExecutor(2) as executor:
            environ["wsgi.errors"].write("begun\\n")
            answer = str(list(executor.map(slowly, [folder] * 3)))
    else:
        with multiprocessing.get_context(kind).Pool(2) as pool:
            environ["wsgi.errors"].write("begun\\n")
            answer = str(pool.map(slowly, [folder] * 3))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""


@pytest.mark.parametrize("kind", [*multiprocessing.get_all_start_methods(), "executor"])
def test_a_pool_in_a_request(tmp_path: Path, kind: str):
    (tmp_path / "web.py").write_text(APP)
    arguments = ["--bind", "127.0.0.1:0", "--graceful-timeout", "1s"]
    with command("-m", "greenserve", "web:app", *arguments, folder=tmp_path) as process:
        found = process.until(r"listening at http://(.*):(\d+)$")
        address = found[1], int(found[2])
        for _ in range(2):
            with RawClient(address) as client:
                client.send(request(f"/{kind}"))
                process.until("begun")
                assert ask(address, request("/other")).body == b"other"
                assert client.answer().body == b"[1, 1, 1]"
            (tmp_path / "answered").unlink()
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
        assert process.said[-1].endswith("stopped\n")
