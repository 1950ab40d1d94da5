"""A reload behind nginx and HAProxy, with the files of deploy/: not even a POST on a kept connection is lost."""

from __future__ import annotations

import signal

import pytest
from tests.support.programs.workers import Load, say, workers
from tests.support.servers.haproxy import HAPROXY, haproxy, shipped
from tests.support.servers.nginx import NGINX, listening, nginx, write

pytestmark = [pytest.mark.repository, pytest.mark.no_hub]


@pytest.mark.skipif(NGINX is None, reason="needs nginx")
def test_nginx(tmp_path):
    with workers(tmp_path) as server, listening() as (where, fd):
        (tmp_path / "nginx").mkdir()
        command = write(tmp_path / "nginx", f"127.0.0.1:{where[1]}", f"127.0.0.1:{server.address[1]}")
        with nginx(command, fd), Load(where, 8, method="POST") as load:
            _reload_twice(load, server, tmp_path)


@pytest.mark.skipif(HAPROXY is None, reason="needs haproxy")
def test_haproxy(tmp_path):
    with workers(tmp_path) as server:
        text = shipped("http.cfg", ":80", f"127.0.0.1:{server.address[1]}")
        (tmp_path / "haproxy").mkdir()
        with haproxy(text, tmp_path / "haproxy") as where, Load(where, 8, method="POST") as load:
            _reload_twice(load, server, tmp_path)


def _reload_twice(load, server, folder) -> None:
    for version in ("two", "three"):
        load.goes_on(200)
        say(folder, version)
        server.signal(signal.SIGHUP)
        server.until("reloaded: all 2 workers are new")
    load.goes_on(200)
    assert load.lost == []
    assert {word for word, _ in load.answers} == {"one", "two", "three"}
