"""hooks.installed: hooks that packages bring, and the command that calls all hooks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path

import pytest
from tests.support.clients.raw import ask, request
from tests.support.programs.commands import command

from greenserve.errors import ConfigError
from greenserve.hooks import installed_hooks

Install = Callable[..., None]

_APP = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"
_HOOKS = """
import sys
def say(name):
    def hook(*arguments):
        sys.stderr.write(f"hook {name}\\n")
    return hook
"""


def install(folder: Path, package: str, *entries: str) -> None:
    """Make `folder` hold an installed package with these hooks."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[greenserve.hooks]\n" + "\n".join(entries) + "\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_none(folder: Path) -> None:
    assert installed_hooks() == ()


def test_a_start_without_any_does_not_import_what_finds_them() -> None:
    script = (
        "import sys; from greenserve.hooks import installed_hooks; "
        "print(installed_hooks(), 'importlib.metadata' in sys.modules)"
    )
    # -S: without what the test tools do at each start of Python.
    path = os.pathsep.join(one for one in sys.path if one)
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "() False\n"


def test_those_in_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "gs-zipped", "post_fork = operator:add")
    archive = shutil.make_archive(str(tmp_path / "packages"), "zip", tmp_path, "gs_zipped-1.0.dist-info")
    monkeypatch.setattr(sys, "path", [archive, *sys.path])
    assert [hook.origin for hook in installed_hooks()] == ["package gs-zipped"]


def test_those_in_an_egg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "gs-egg", "post_fork = operator:add")
    info = tmp_path / "gs_egg-1.0-py3.11.egg/EGG-INFO"
    info.parent.mkdir()
    (tmp_path / "gs_egg-1.0.dist-info").rename(info)
    (info / "METADATA").rename(info / "PKG-INFO")
    monkeypatch.setattr(sys, "path", [str(info.parent), *sys.path])
    assert [hook.origin for hook in installed_hooks()] == ["package gs-egg"]


def test_those_that_a_finder_of_its_own_tells_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "gs-found", "post_fork = operator:add")

    class Finder:
        def find_spec(self, *arguments: object) -> None:
            return None

        def find_distributions(self, context: DistributionFinder.Context) -> Iterator[Distribution]:
            yield Distribution.at(tmp_path / "gs_found-1.0.dist-info")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert [hook.origin for hook in installed_hooks()] == ["package gs-found"]


def test_those_of_several_packages_in_their_order(folder: Path) -> None:
    install(folder, "gs-b", "post_fork = operator:add")
    install(folder, "gs-a", "when_ready = operator:neg", "post_fork = operator:sub")
    assert [(hook.name, hook.origin, hook.call.__name__) for hook in installed_hooks()] == [
        ("post_fork", "package gs-a", "sub"),
        ("when_ready", "package gs-a", "neg"),
        ("post_fork", "package gs-b", "add"),
    ]


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("post_frok = operator:add", "unknown hook post_frok (package gs-bad): did you mean post_fork?; the hooks"),
        ("nothing = operator:add", "unknown hook nothing (package gs-bad); the hooks are on_starting, when_ready,"),
        ("post_fork = gs_none:x", "post_fork (package gs-bad): can't load gs_none:x: ModuleNotFoundError: No module"),
        ("post_fork = operator:none", "post_fork (package gs-bad): can't load operator:none: AttributeError: "),
        ("post_fork = operator:neg", "post_fork (package gs-bad) can't be called as the hook is: too many positional"),
    ],
)  # fmt: skip
def test_one_with_a_fault_is_one_line_that_names_the_package(folder: Path, entry: str, line: str) -> None:
    install(folder, "gs-bad", entry)
    with pytest.raises(ConfigError) as caught:
        installed_hooks()
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_the_command_calls_each_in_its_place(tmp_path: Path) -> None:
    names = ["on_starting", "when_ready", "post_fork", "worker_exit", "pre_request", "post_request"]
    # Calls of a name are no assignments that a checker of parameters would see through: *arguments fits all.
    lines = [f"{name} = say('{name}')" for name in names]
    (tmp_path / "web.py").write_text(_APP)
    (tmp_path / "gs_hooks.py").write_text(_HOOKS + "packaged = say('packaged')\n")
    (tmp_path / "greenserve_conf.py").write_text(
        "from gs_hooks import say\nbind = '127.0.0.1:0'\napp = 'web:app'\n" + "\n".join(lines)
    )
    install(tmp_path, "gs-say", "post_fork = gs_hooks:packaged")
    with command("-m", "greenserve", folder=tmp_path) as program:
        address = program.listens()
        assert ask(address, request()).body == b"x"
        program.until("hook post_request")
        program.signal(signal.SIGTERM)
        assert program.ended() == 0
    told = [
        line.strip() for line in program.said if "hook" in line or "listening" in line or "stopped" in line
    ]
    kinds = ["listening" if "listening" in line else line.split()[-1] for line in told]
    assert kinds == [
        *("on_starting", "packaged", "post_fork", "listening", "when_ready"),
        *("pre_request", "post_request", "worker_exit", "stopped"),
    ]


def test_with_workers_the_master_and_each_worker_call_theirs(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(
        "import os, sys\nsys.stderr.write(f'hook app {os.getpid()}\\n')\n"
        + _APP.replace("b'x'", "b'%d' % os.getpid()")
    )
    (tmp_path / "greenserve_conf.py").write_text(
        """
import sys
from greenserve import sleep, spawn
bind, app, workers = "127.0.0.1:0", "web:app", 2
hub = "poll"
def say(name, *processes):
    sys.stderr.write(" ".join(["hook", name, *(str(one.pid) for one in processes)]) + "\\n")
def on_starting(server):
    say("on_starting", server)
def when_ready(server):
    say("when_ready", server)
def post_fork(server, worker):
    spawn(sleep, 0)  # a green thread begins before the app is there
    say("post_fork", server, worker)
def worker_exit(server, worker):
    say("worker_exit", server, worker)
def post_request(worker, req, environ, resp):
    say("post_request", worker)
"""
    )
    with command("-m", "greenserve", folder=tmp_path) as program:
        address = program.listens()
        program.until("with 2 workers")
        served = set()
        while len(served) < 2:  # until both have started: the kernel spreads connections at random
            served.add(ask(address, request()).body.decode())
        program.until("hook post_request")
        program.signal(signal.SIGTERM)
        assert program.ended() == 0
    told = [line.split()[1:] for line in program.said if line.startswith("hook ")]
    master = str(program.process.pid)
    assert told[:2] == [["on_starting", master], ["when_ready", master]]
    for worker in served:
        names = [words[0] for words in told if words[-1] == worker and words[0] != "post_request"]
        assert names == ["post_fork", "app", "worker_exit"]
    assert [words[0] for words in told].count("worker_exit") == 2


def test_a_reload_runs_the_file_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(_APP)
    file = tmp_path / "greenserve_conf.py"
    text = "import sys\ndef post_fork(server, worker):\n    sys.stderr.write('hook first\\n')\n"
    file.write_text(text)
    with command("-m", "greenserve", "web:app", "-b", "127.0.0.1:0", "--master", folder=tmp_path) as program:
        program.until("hook first")
        address = program.listens()
        program.until("runs as process")
        file.write_text("bind = (")
        program.signal(signal.SIGHUP)
        program.until(r"greenserve_conf.py:1: '\(' was never closed")
        assert ask(address, request()).body == b"x"
        file.write_text(text.replace("first", "second"))
        program.signal(signal.SIGHUP)
        program.until("hook second")
        assert ask(address, request()).body == b"x"
        program.signal(signal.SIGTERM)
        assert program.ended() == 0


def test_after_sigusr2_a_hook_that_fails_does_not_end_what_serves(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(_APP)
    (tmp_path / "greenserve_conf.py").write_text(
        "import os\ndef on_starting(server):\n    if os.path.exists('bad'):\n        raise LookupError('no licence')\n"
    )
    with command("-m", "greenserve", "web:app", "-b", "127.0.0.1:0", "--master", folder=tmp_path) as program:
        address = program.listens()
        program.until("runs as process")
        (tmp_path / "bad").touch()
        program.signal(signal.SIGUSR2)
        program.until(
            r"the hook on_starting .* failed: LookupError: no licence; .* \(the server goes on without it\)"
        )
        program.until("the worker is new")
        assert ask(address, request()).body == b"x"
        program.signal(signal.SIGTERM)
        assert program.ended() == 0


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("name", ["on_starting", "when_ready"])
def test_a_start_that_a_hook_refuses(tmp_path: Path, name: str, number: int) -> None:
    (tmp_path / "web.py").write_text(_APP)
    (tmp_path / "greenserve_conf.py").write_text(
        f"def {name}(server):\n    raise LookupError('no licence')\n\n"
        "def worker_exit(server, worker):\n    print('exit', flush=True)\n"
    )
    workers = str(number)
    with command(
        "-m", "greenserve", "web:app", "-b", "127.0.0.1:0", "-w", workers, folder=tmp_path
    ) as program:
        assert program.ended() == 2
        assert program.process.stdout is not None
        assert program.process.stdout.read() == ("exit\n" if name == "when_ready" and number == 1 else "")
    assert program.said[-1] == (
        f"greenserve: the hook {name} (greenserve_conf.py:1) failed: LookupError: no licence; mend it, or take it out\n"
    )
    assert program.text.count("Traceback") == 1


def test_the_process_is_patched_before_the_files_imports(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(_APP)
    (tmp_path / "greenserve_conf.py").write_text(
        "import time, greenserve\nprint(greenserve.is_monkey_patched('time'), flush=True)\n"
    )
    for flag, told in (("--monkey-patch", "True"), ("--no-monkey-patch", "False")):
        with command("-m", "greenserve", "--check-config", flag, "web:app", folder=tmp_path) as program:
            assert program.ended() == 0
            assert program.process.stdout is not None
            assert program.process.stdout.readline().strip() == told
