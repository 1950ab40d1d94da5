"""The import hook: `python -m greenserve_eventlet`, `greenserve --eventlet`, the .pth file."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tests.support.programs.commands import ROOT, run_python

from greenserve_eventlet.hook import STAND_IN
from greenserve_eventlet.pth import install_pth, remove_pth

WHOSE = "import eventlet, importlib.metadata as m; print(eventlet.__name__, m.version('eventlet'))"
OURS = "greenserve_eventlet 0.41.3\n"
PATHS = [str(ROOT / "server"), str(ROOT / "hub")]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of packages with a real eventlet, as far as names go."""
    packages = tmp_path / "packages"
    (packages / "eventlet").mkdir(parents=True)
    (packages / "eventlet" / "__init__.py").write_text("print('the real one')\n")
    (packages / "eventlet-0.40.0.dist-info").mkdir()
    (packages / "eventlet-0.40.0.dist-info" / "METADATA").write_text("Name: eventlet\nVersion: 0.40.0\n")
    return packages


def hooked(folder: Path, *arguments: str, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {} if packages is None else {"PYTHONPATH": os.pathsep.join([*PATHS, *sys.path, str(packages)])}
    return run_python("-m", "greenserve_eventlet", *arguments, folder=folder, **environ)


def test_a_script_and_a_module_with_their_arguments(tmp_path: Path):
    (tmp_path / "program.py").write_text(f"import sys; {WHOSE}; print(__name__, sys.argv[1:], sys.path[0])")
    for how in (["program.py"], ["-m", "program"]):
        done = hooked(tmp_path, *how, "-x", "y")
        assert done.stdout == f"{OURS}__main__ ['-x', 'y'] {tmp_path}\n", done.stderr
        assert done.stderr == ""


def test_it_wins_over_eventlet_itself_in_child_processes_too(tmp_path: Path, installed: Path):
    (tmp_path / "program.py").write_text(
        f"import subprocess, sys; {WHOSE}\n"
        f"print(subprocess.run([sys.executable, '-c', {WHOSE!r}], capture_output=True, text=True).stdout, end='')\n"
        "code = 'import eventlet.green.socket as s; from eventlet import greenpool; print(s.__name__)'\n"
        "print(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout, end='')\n"
    )
    assert run_python("-c", "import eventlet", PYTHONPATH=str(installed)).stdout == "the real one\n"
    done = hooked(tmp_path, "program.py", packages=installed)
    assert done.stdout == f"{OURS}{OURS}socket\n", done.stderr


def test_a_child_whose_python_has_no_greenserve_gets_its_own_eventlet(installed: Path):
    # -S: without site-packages it stands for the Python of another venv.
    path = os.pathsep.join([STAND_IN, str(installed)])
    done = run_python("-S", "-c", WHOSE, PYTHONPATH=path)
    assert (done.stdout, done.stderr) == ("the real one\neventlet 0.40.0\n", "")
    done = run_python("-S", "-c", "import eventlet", PYTHONPATH=STAND_IN)
    # 3.15 says more behind it: that there is no site.
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: No module named 'eventlet'")


def test_it_refuses_when_eventlet_itself_is_loaded(tmp_path: Path, installed: Path):
    (tmp_path / "sitecustomize.py").write_text("import eventlet\n")
    environ = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *PATHS, *sys.path, str(installed)])}
    done = run_python("-m", "greenserve_eventlet", "-c", **environ)
    (tmp_path / "program.py").write_text("print('runs')\n")
    done = run_python("-m", "greenserve_eventlet", "program.py", folder=tmp_path, **environ)
    assert done.returncode == 2
    assert done.stdout == "the real one\n"
    assert done.stderr.startswith("greenserve_eventlet: eventlet is loaded already, from ")
    assert done.stderr.count("\n") == 1


def test_without_a_program(tmp_path: Path):
    for arguments in ([], ["-m"], ["-x"]):
        done = hooked(tmp_path, *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: python -m greenserve_eventlet [-m MODULE | SCRIPT]")
    assert hooked(tmp_path, "--help").returncode == 0
    done = hooked(tmp_path, "nowhere.py")
    assert (done.returncode, done.stderr) == (
        2,
        "greenserve_eventlet: can't open nowhere.py: No such file or directory\n",
    )


class TestPth:
    @pytest.fixture
    def site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A site-packages, for this test alone."""
        folder = tmp_path / "site"
        folder.mkdir()
        monkeypatch.setattr(sysconfig, "get_path", lambda name: str(folder))
        return folder

    def asked(self, site: Path, code: str, packages: Path, **environ: str) -> str:
        # Python reads the .pth files of its own site-packages in this way, when it starts.
        begin = f"import site, sys; before = set(sys.modules); site.addsitedir({str(site)!r}); "
        path = os.pathsep.join([*PATHS, *sys.path, str(packages)])
        done = run_python("-c", begin + code, PYTHONPATH=path, **environ)
        assert done.stderr == ""
        return done.stdout

    def test_obeys_the_variable_until_it_is_removed(
        self, site: Path, installed: Path, capsys: pytest.CaptureFixture[str]
    ):
        assert install_pth() == 0
        (file,) = site.iterdir()
        assert capsys.readouterr().out == f"greenserve_eventlet: wrote {file}\n"
        assert self.asked(site, WHOSE, installed, GREENSERVE_EVENTLET="1") == OURS
        for off in ("0", ""):
            assert self.asked(site, WHOSE, installed, GREENSERVE_EVENTLET=off).startswith("the real one\n")
        assert remove_pth() == 0
        assert not file.exists()
        assert self.asked(site, WHOSE, installed, GREENSERVE_EVENTLET="1").startswith("the real one\n")
        assert remove_pth() == 0

    def test_costs_no_import_until_eventlet_is_imported(self, site: Path, tmp_path: Path):
        install_pth()
        code = "print([name for name in sys.modules if name.startswith('greenserve')])"
        assert self.asked(site, code, tmp_path, GREENSERVE_EVENTLET="1") == "[]\n"

    def test_comes_before_files_that_import_eventlet(self, site: Path, installed: Path):
        (site / "a.pth").write_text("import eventlet\n")
        install_pth()
        assert self.asked(site, WHOSE, installed, GREENSERVE_EVENTLET="1") == OURS

    def test_refuses_if_eventlet_itself_is_loaded(self, site: Path, installed: Path):
        install_pth()
        code = f"import site, eventlet; site.addsitedir({str(site)!r}); print('goes on')"
        path = os.pathsep.join([*PATHS, *sys.path, str(installed)])
        done = run_python("-c", code, PYTHONPATH=path, GREENSERVE_EVENTLET="1")
        assert done.returncode == 2
        assert "goes on" not in done.stdout
        assert done.stderr.endswith("remove that file, or unset the variable\n")

    def test_refuses_if_greenserve_is_gone(self, site: Path, tmp_path: Path):
        install_pth()
        (file,) = site.iterdir()
        file.write_text(file.read_text().replace(STAND_IN, str(tmp_path / "gone")))
        code = f"import site; site.addsitedir({str(site)!r}); print('goes on')"
        done = run_python("-c", code, GREENSERVE_EVENTLET="1")
        assert (done.returncode, done.stdout) == (2, "")
        assert "remove 0_greenserve_eventlet.pth" in done.stderr

    def test_says_when_it_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "nowhere"))
        assert install_pth() == 1
        assert "can't write" in capsys.readouterr().err


class TestCommand:
    def test_gives_the_app_our_eventlet(self, tmp_path: Path, installed: Path):
        (tmp_path / "program.py").write_text(
            f"{WHOSE}\neventlet.monkey_patch()\ndef app(environ, start_response): ...\n"
        )
        environ = {"PYTHONPATH": os.pathsep.join([*PATHS, *sys.path, str(installed)])}
        command = ["-m", "greenserve", "--check-config", "program:app"]
        done = run_python(*command, "--eventlet", folder=tmp_path, **environ)
        assert done.stdout.startswith(OURS), done.stderr
        done = run_python(*command, folder=tmp_path, GREENSERVE_EVENTLET="1", **environ)
        assert done.stdout.startswith(OURS), done.stderr

    def test_refuses_when_eventlet_itself_is_loaded(self, tmp_path: Path, installed: Path):
        (tmp_path / "greenserve_conf.py").write_text("import eventlet\n")
        (tmp_path / "program.py").write_text("def app(environ, start_response): ...\n")
        environ = {"PYTHONPATH": os.pathsep.join([*PATHS, *sys.path, str(installed)])}
        done = run_python("-m", "greenserve", "--eventlet", "program:app", folder=tmp_path, **environ)
        assert done.returncode == 2
        assert "greenserve: --eventlet: eventlet is loaded already" in done.stderr
