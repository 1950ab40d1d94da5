"""watchdog in a served app: its thread waits for inotify by os.read(), and the server goes on."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.clients.raw import RawClient, request
from tests.support.programs.commands import command
from tests.support.times import PATIENCE

APP = f"""
import os, sys, tempfile, threading
from queue import Queue
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

events = Queue()

class Handler(FileSystemEventHandler):
    def on_created(self, event):
        events.put(os.path.basename(event.src_path))

folder = tempfile.mkdtemp()
observer = Observer()
observer.schedule(Handler(), folder, recursive=True)
observer.start()

def app(environ, start_response):
    name = environ["PATH_INFO"][1:]
    if name == "stop":
        observer.stop()
        observer.join({PATIENCE})
        name = str(observer.is_alive())
    elif name:
        with open(os.path.join(folder, name), "w"):
            pass
        name = events.get(timeout={PATIENCE})
    start_response("200 OK", [("Content-Length", str(len(name)))])
    return [name.encode()]
"""


def test_the_server_answers_while_a_folder_is_watched(tmp_path: Path):
    (tmp_path / "web.py").write_text(APP)
    with command("-m", "greenserve", "web:app", "--bind", "127.0.0.1:0", folder=tmp_path) as running:
        host, port = running.until(r"http://([\d.]+):(\d+)").groups()
        with RawClient((host, int(port))) as client:
            for path, body in (
                ("/", b""),
                ("/one", b"one"),
                ("/two", b"two"),
                ("/stop", b"False"),
                ("/", b""),
            ):
                client.send(request(path))
                assert client.answer().body == body
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
    assert "holds the hub" not in running.text
