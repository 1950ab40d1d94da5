"""process_check: a process that eventlet or gevent has patched serves nothing, by whichever way in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.programs.commands import command
from tests.support.programs.patched import run
from tests.support.programs.rivals import install

from greenserve.loading import process_check
from greenserve.loading.process_check import check_process
from greenserve.logs.throttled import Once

APP = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"
GEVENT = "from gevent import monkey; monkey.patch_all()\n"
EVENTLET = "import eventlet; eventlet.monkey_patch()\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    install(tmp_path, "gevent", "eventlet", "ddtrace")
    return tmp_path


@pytest.mark.parametrize("patch", [GEVENT, EVENTLET])
@pytest.mark.parametrize("how", [[], ["--check-config"], ["--no-monkey-patch"]])
def test_the_command_refuses_an_app_that_patches_with_another(folder, patch, how):
    (folder / "patching.py").write_text(patch + APP)
    with command("-m", "greenserve", *how, "patching:app", folder=folder) as running:
        assert running.ended() == 2
    (line,) = running.said
    assert "has patched this process, and two hubs in one process block each other" in line
    assert line.startswith("greenserve: ")


def test_the_command_refuses_before_it_patches_what_another_has_patched(folder):
    (folder / "begins.py").write_text(GEVENT)
    (folder / "plain.py").write_text("1 / 0")  # is not reached
    code = (
        "import sys; sys.path.insert(0, ''); import begins; from greenserve.cli import main; sys.exit(main())"
    )
    for arguments in (["-c", code, "plain:app"], ["-c", code.replace("cli", "patched"), "plain.py"]):
        with command(*arguments, folder=folder) as running:
            assert running.ended() == 2
        assert "gevent.monkey.patch_all() has patched this process" in running.text
        assert "ZeroDivisionError" not in running.text


@pytest.mark.parametrize(
    "serve",
    [
        "with greenserve.serve(app): pass",
        "greenserve.run(app, bind=':0')",
        "greenserve.Server(app)",
        "with greenserve.listen(('127.0.0.1', 0)) as sock: greenserve.wsgi_server(sock, app)",
    ],
)
def test_embedding_refuses_too(folder, serve):
    said = run(
        f"""
        def app(environ, start_response): pass
        try:
            {serve}
        except greenserve.ConfigError as error:
            print(error)
        """,
        patch=False,
        before=f"import sys; sys.path.insert(0, {str(folder)!r})\n{GEVENT}",
    )
    assert said.startswith("gevent.monkey.patch_all() has patched this process")


def test_modules_that_an_app_has_dropped_are_told_once(folder):
    (folder / "dropping.py").write_text(f"import ddtrace.auto\nimport time\n{APP}")
    arguments = ["-c", "import os; os.environ['DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE'] = '1'; "
                 "import sys; from greenserve.cli import main; sys.exit(main())"]  # fmt: skip
    with command(*arguments, "dropping:app", "--bind", "127.0.0.1:0", folder=folder) as running:
        told = running.until("has removed")[0]
        running.until("listening at")
    assert told
    assert running.text.count("has removed _thread, threading, time from sys.modules") == 1


def test_flask_socketio_takes_threads_and_says_so(folder):
    (folder / "chat.py").write_text(
        "import flask, flask_socketio, sys\napp = flask.Flask(__name__)\n"
        "chat = flask_socketio.SocketIO(app)\nsys.stderr.write(f'mode: {chat.async_mode}\\n')\n"
    )
    with command("-m", "greenserve", "chat:app", "--bind", "127.0.0.1:0", folder=folder) as running:
        assert (
            "chat.py:3"
            in running.until("Socket.IO would run on eventlet|Socket.IO would run on gevent").string
        )
        running.until("mode: threading")
        running.until("listening at")


def test_socketio_that_runs_on_another_is_told(folder):
    # Nothing was patched when it was imported, so that it has chosen what it found.
    (folder / "choosing.py").write_text(f"import engineio; engineio.Server()\n{APP}")
    done = subprocess.run(
        [sys.executable, "-c", "import choosing, greenserve; greenserve.Server(choosing.app)"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.startswith("Socket.IO runs on gevent here and will hang")


def test_socketio_on_greenserve_under_eventlets_name_is_fine(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "engineio.async_drivers.eventlet", ModuleType("engineio"))
    check_process()
    assert "Socket.IO runs on eventlet" in caplog.text
    caplog.clear()
    monkeypatch.setattr(process_check, "_once", Once(1))
    monkeypatch.setitem(sys.modules, "eventlet", ModuleType("greenserve_eventlet"))
    check_process()
    assert not caplog.text
