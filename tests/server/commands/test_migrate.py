"""commands.migrate: gunicorn's files and command lines in, a greenserve.toml out that greenserve takes."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from gunicorn.config import KNOWN_SETTINGS
from tests.support.times import PATIENCE

from greenserve.cli import main
from greenserve.config import Loaded, load_config
from greenserve.config.gunicorn import GUNICORN
from greenserve.config.hooks import HOOKS
from greenserve.errors import ConfigError

pytestmark = pytest.mark.no_hub

# As they are in use: a port of the environment, workers by the number of cores, hooks that log.
_USUAL = '''
"""Configuration of the shop."""
import multiprocessing
import os

_private = 1
port = 8080
bind = f"0.0.0.0:{port}"
backlog = 1024 * 2
workers = multiprocessing.cpu_count() * 2 + 1
worker_class = "gthread"
threads = 4
worker_connections = 500
timeout = 60 * 2
keepalive = 5
proc_name = "shop"
accesslog = None
access_log_format = '%(h)s "%(r)s" %(s)s %(D)s'
limit_request_line = 0
keyfile = None
user: str = "www-data"
if os.environ.get("DEBUG"):
    loglevel = "debug"


def on_starting(server):
    """Say so."""
    server.log.info("starting")


def on_exit(server):
    open("was-run", "w")


open("was-run", "w")
'''


@pytest.fixture
def migrate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Write gunicorn.conf.py if its content is given, and run the command: its output."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, content: str | None = None, code: int = 0) -> str:
        if content is not None:
            (tmp_path / "gunicorn.conf.py").write_text(content)
        assert main(["migrate", *words]) == code
        out, err = capsys.readouterr()
        if code:
            assert out == ""
            return err
        assert err == ""
        assert tomllib.loads(out) is not None
        if "# It does not start like this: " in out:
            with pytest.raises(ConfigError, match=" contradicts "):
                loaded(out)
        else:
            loaded(out)
        return out

    return run


def loaded(text: str) -> Loaded:
    """What greenserve makes of it."""
    Path("made.toml").write_text(text)
    return load_config(file="made.toml", environ={})


def test_the_usual_file_without_running_it(migrate: Callable[..., str]) -> None:
    out = migrate("gunicorn.conf.py", content=_USUAL)
    assert not Path("was-run").exists()
    assert "# gunicorn.conf.py is Python and was read and not run." in out
    config = loaded(out).config
    assert (config.bind, config.backlog, config.pool, config.keep_alive) == (
        ("0.0.0.0:8080",),
        2048,
        500,
        5.0,
    )
    assert (config.access_logfile, config.access_log_format) == ("off", '%(h)s "%(r)s" %(s)s %(D)s')
    lines = out.splitlines()
    assert "pool = 500  # worker_connections" in lines
    assert "# worker_class = 'gthread': leave it out: every request runs on a green thread" in lines
    assert "# threads = 4: requests run on green threads: pool sets how many at the same time" in lines
    assert any(
        line.startswith("# limit_request_line = 0: can't be switched off in greenserve; ") for line in lines
    )
    assert any("multiprocessing.cpu_count() * 2 + 1" in line for line in lines)
    set_at = _USUAL.splitlines().index('    loglevel = "debug"') + 1
    assert f"# log_level: loglevel is set at line {set_at}, where the text does not tell its value" in lines
    assert any(line.startswith(f"# on_exit (line {set_at + 8}): this hook is not called: ") for line in lines)
    assert "# Not settings of gunicorn's, so left out: port" in lines
    assert "keyfile" not in out
    assert "_private" not in out


def test_hooks_are_carried_over_as_code_that_greenserve_takes(migrate: Callable[..., str]) -> None:
    out = migrate("gunicorn.conf.py", content=_USUAL)
    code = out.partition("# Code. What follows belongs into greenserve_conf.py")[2].partition("\n#\n")[2]
    code = "\n".join(
        line[2:] for line in code.splitlines() if not line.startswith(("# workers", "# log_level"))
    )
    assert "import multiprocessing\nimport os\n" in code
    ast.parse(code)
    Path("greenserve_conf.py").write_text(code)
    assert [hook.name for hook in loaded(out).hooks] == ["on_starting"]


def test_with_run_it_is_run_in_a_process_of_its_own(migrate: Callable[..., str]) -> None:
    content = _USUAL.replace("backlog = 1024 * 2", "backlog = sum([1000, 24]); print('said')")
    out = migrate("--run", "gunicorn.conf.py", content=content)
    assert Path("was-run").exists()
    assert "was run, on this machine" in out
    assert loaded(out).config.backlog == 1024
    assert "cpu_count" not in out
    assert "said" not in out
    assert "# def on_starting(server):" in out.splitlines()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("1/0\n", "gunicorn.conf.py: it failed when it was run: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)\n", "gunicorn.conf.py: it failed when it was run: no word"),
    ],
)
def test_one_that_fails_when_it_is_run(migrate: Callable[..., str], content: str, line: str) -> None:
    assert (
        migrate("--run", "gunicorn.conf.py", content=content, code=2).splitlines()[-1]
        == f"greenserve: {line}"
    )


def test_a_command_line(migrate: Callable[..., str]) -> None:
    words = (
        "gunicorn -b :80 --bind unix:/x --no-sendfile -k gevent --proxy-protocol --keep-alive 0 shop.wsgi:app"
    )
    for before in (["--"], []):
        made = loaded(migrate(*before, *words.split()))
        config = made.config
        assert (config.bind, config.sendfile, config.keep_alive) == (("0.0.0.0:80", "unix:/x"), False, 0.0)
        assert config.proxy_protocol == "auto"
        assert made.app is not None
        assert made.app.value == "shop.wsgi:app"


def test_a_command_line_beats_its_file(migrate: Callable[..., str]) -> None:
    content = "backlog = 1\nkeepalive = 1\n"
    for words in (
        ["-c", "gunicorn.conf.py"],
        ["-c", "file:gunicorn.conf.py"],
        [],
    ):  # gunicorn takes this name unasked
        config = loaded(migrate("--", "gunicorn", *words, "--backlog", "2", content=content)).config
        assert (config.backlog, config.keep_alive) == (2, 1.0)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ('import os\nbind = f"0.0.0.0:{os.getenv(\'PORT\', 8000)}"\n', "# bind: leave it out, greenserve reads PORT"),
        ('worker_class = "uvicorn.workers.UvicornWorker"\n', "this worker is for ASGI apps, and greenserve"),
        ("from base import *\n", "# It imports all names of a module, which may be settings too: --run would"),
        ("backlog = 1\nbacklog += 1\n", "# backlog: backlog is set at line 2, where the text does not tell its value"),
        ("backlog = 1\nbacklog = f()\n", "# backlog = f()"),
        ("bind = '0.0.0.0:$PORT'\n", "# bind = '0.0.0.0:$PORT': "),
        ("header_map = 'dangerous'\n", "# header_map = 'dangerous': unknown in greenserve; header_map is drop or"),
        ("ca_certs = 'a.pem'\n", "\n# ca_certs = 'a.pem': it contradicts client_cert = none: "),
        ("cert_reqs = 2\n", "# It does not start like this: client_cert = required (client_cert) contradicts ca_certs"),
        ("keyfile = 'a.pem'\n", "# It does not start like this: keyfile = a.pem (keyfile) contradicts certfile"),
        ("limit_request_field_size = 99999\n", "\n# limit_request_field_size = 99999: it contradicts limit_request"),
        ("daemon = True\n", "\n# daemon = True: it contradicts error_logfile = -: in the background there is"),
        ("daemon = True\nerrorlog = '-'\n", "\n# daemon = True: it contradicts error_logfile = -: "),
        ("daemon = True\nerrorlog = f()\n", "\n# daemon = True: it contradicts error_logfile = -: "),
        ("daemon = True\naccesslog = '-'\nerrorlog = 'e'\n", "\n# daemon = True: it contradicts access_logfile = -: "),
        ("daemon = True\nerrorlog = 'e'\n", '\ndaemon = true\naccess_logfile = "off"  # accesslog\n'),
        ("daemon = True\nerrorlog = 'e'\naccesslog = 'a'\n", '\ndaemon = true\naccess_logfile = "a"  # accesslog\n'),
        ("x = 'a' * 10 ** 10\nbacklog = x\n", "# backlog = x"),
        ("post_fork = make()\n", "# post_fork = make()"),
        ("workers, threads = 2, 4\n", '\nworkers = "2"\n# threads = 4: requests run on green threads'),
        ("workers, [user, *bind] = make()\n", "# workers: workers is set at line 1, where the text does not tell"),
        ("workers, [user, *bind] = make()\n", "# bind: bind is set at line 1, where the text does not tell"),
        ("backlog, x = 1, 2\nbacklog, x = x, backlog\nworkers = x\n", '\nworkers = "1"\n'),
        ("from base import bind, n as workers\n", "# workers: workers is imported at line 1, where the text does not"),
        ("from base import threads\n", "# threads (line 1: imported at line 1, where the text does not tell its"),
        ("logconfig_json = 'a.json'\n", '\nlog_config = "a.json"  # logconfig_json\n'),
        ("logconfig_json = 'a.json'\nlogconfig = 'a.ini'\n", "# logconfig = 'a.ini': leave it out; with"),
        ("from base import post_fork\n", "# post_fork: post_fork is imported at line 1"),
        ("def post_fork(server, worker):\n    x = '\x07\x0c\x7f'\n", "#     x = '\\x07\\x0c\\x7f'\n"),
        ("bind = 'a:1\\\\n\\x07'\n", "# bind = "),
        ("raw_env = ['A=\\u2028b']\n", "raw_env"),
        ("user = '''a\nb'''\n", "user"),
    ],
)  # fmt: skip
def test_what_needs_a_word(migrate: Callable[..., str], content: str, wanted: str) -> None:
    out = migrate("gunicorn.conf.py", content=content)
    assert wanted in out
    tomllib.loads(out)


def test_defaults_that_differ_are_told_unless_they_are_set(migrate: Callable[..., str]) -> None:
    out = migrate("gunicorn.conf.py", content="keepalive = 3\n")
    assert "gunicorn writes no access log" in out
    assert "keeps a connection for 2 s" not in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "migrate: give gunicorn's configuration file, or -- and its command line"),
        (["--run"], "migrate: give gunicorn's configuration file, or -- and its command line"),
        (["none.py"], "none.py: No such file or directory"),
        (["a.py", "b.py"], "migrate: one file, or -- gunicorn and its flags, not a.py and b.py"),
        (
            ["--", "gunicorn", "--nonsense"],
            "not a command line of gunicorn: unrecognized arguments: --nonsense",
        ),
        (["--", "gunicorn", "-c", "python:a.b"], "migrate: python:a.b: give the path of the module's file"),
    ],
)
def test_a_bad_command_line(migrate: Callable[..., str], words: list[str], line: str) -> None:
    assert migrate(*words, code=2) == f"greenserve: {line}\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [("bind = (\n", "gunicorn.conf.py:1: '(' was never closed"), ("\0", "gunicorn.conf.py")],
)
def test_a_file_that_is_no_python(migrate: Callable[..., str], content: str, line: str) -> None:
    assert migrate("gunicorn.conf.py", content=content, code=2).startswith(f"greenserve: {line}")


def test_help(migrate: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: greenserve migrate")


def test_every_setting_of_gunicorns_with_its_own_default(migrate: Callable[..., str]) -> None:
    """The file that sets each of them is taken, and greenserve starts with what comes out."""
    lines = [
        f"{one.name} = {one.default!r}"
        for one in KNOWN_SETTINGS
        if type(one.default) in (str, int, list, dict, type(None)) and one.name not in ("config", "chdir")
    ]
    out = migrate("gunicorn.conf.py", content="\n".join(lines))
    assert "It does not start" not in out
    assert loaded(out).config.bind == ("127.0.0.1:8000",)


def test_every_setting_is_named_whatever_its_value(migrate: Callable[..., str]) -> None:
    named = [name for name, row in GUNICORN.items() if name not in HOOKS]
    out = migrate(
        "gunicorn.conf.py", content="\n".join(f"{name} = 'value'" for name in named) + "\ncert_reqs = 2\n"
    )
    assert "It does not start" not in out
    loaded(out)
    for name in named:
        assert any(name in line for line in out.splitlines()), name


def test_gunicorn_itself_takes_what_is_tested_here(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(
        _USUAL.replace("\nlimit_request_line", "\n# limit_request_line")
    )
    (tmp_path / "shop.py").write_text("app = lambda environ, start_response: []\n")
    command = [sys.executable, "-m", "gunicorn", "--check-config", "shop:app"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
