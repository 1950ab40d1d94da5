"""The wheel and the sdist: what is inside, and that the wheel runs where there is nothing but what it asks for."""

from __future__ import annotations

import email.message
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest
import requests
from packaging.requirements import Requirement
from tests.support.programs.commands import command
from tests.support.times import PATIENCE

from greenserve.version import VERSION

pytestmark = pytest.mark.repository

ROOT = Path(__file__).parents[2]
TABLE = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [ROOT / path for path in TABLE["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
INFO = f"greenserve-{VERSION}.dist-info"

APP = """
import platform
import greenserve

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SERVER_SOFTWARE']} {greenserve.__file__}".encode()]
"""

# Prints the place of each package, and what modules miss that cannot be imported.
IMPORT_ALL = """
import importlib, pkgutil, sys
for package in sys.argv[1:]:
    top = importlib.import_module(package)
    print("at", package, top.__file__)
    for module in pkgutil.walk_packages(top.__path__, package + ".", onerror=lambda name: None):
        if not module.name.endswith(".__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                print("misses", module.name, error.name or "on-purpose")  # Python's own errors have a name
"""


# What is compiled where there are a compiler and Python's headers.
CORE = f"greenserve/_core{sysconfig.get_config_var('EXT_SUFFIX')}"
COMPILES = (
    shutil.which("gcc", path=os.defpath) is not None
    and Path(sysconfig.get_path("include"), "Python.h").exists()
)


def run(*arguments: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> str:
    """A program's output. It finds nothing of the checkout; what it says stands in the failure if it fails."""
    done = subprocess.run(
        arguments,
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(wheel: dict[str, bytes]) -> email.message.Message:
    """The metadata of a wheel."""
    return email.message_from_bytes(wheel[f"{INFO}/METADATA"])


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both. hatchling is in the tests' own environment, so that the build needs no network."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, folder=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> dict[str, bytes]:
    """Of the wheel for this Python, which anyone can have who has a compiler."""
    (path,) = built.glob("*.whl")
    assert path.name.endswith("-py3-none-any.whl") is not COMPILES
    return contents(path)


@pytest.fixture(scope="module")
def sdist(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built / f"greenserve-{VERSION}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


def required(requirements: list[str]) -> set[str]:
    """The distributions that are asked for, without extras, and those that these ask for."""
    found = set()
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found |= {requirement.name} | required(metadata.requires(requirement.name) or [])
    return found


@pytest.fixture(scope="module")
def installed(built: Path, wheel: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment: the wheel, and what it requires as it is installed for the tests."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    python = folder / "bin/python"
    packages = next((folder / "lib").glob("python*/site-packages"))
    for name in required(told(wheel).get_all("Requires-Dist", [])):
        for file in metadata.files(name) or ():
            if not file.is_absolute() and ".." not in file.parts:  # a script
                target = packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_binary())
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--no-index", *built.glob("*.whl"), folder=folder)
    run(*pip, "check", folder=folder)
    return folder / "bin"


def test_the_wheel_holds_the_packages_whole_and_nothing_else(wheel):
    wanted = {
        str(path.relative_to(package.parent))
        for package in PACKAGES
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".c", ".h", ".so")
    }
    if COMPILES:
        wanted.add(CORE)
    assert {name for name in wheel if not name.startswith(f"{INFO}/")} == wanted
    assert {f"{package.name}/py.typed" for package in PACKAGES} <= wanted
    assert "greenserve/admin/page.html" in wanted


def test_the_wheel_says_what_it_is(wheel):
    message = told(wheel)
    assert (message["Name"], message["Version"]) == ("greenserve", VERSION)
    assert message["License-Expression"] == "Apache-2.0"
    assert message.get_payload().startswith("# greenserve\n")
    assert wheel[f"{INFO}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    entry_points = wheel[f"{INFO}/entry_points.txt"].decode()
    assert "greenserve = greenserve.cli:main" in entry_points
    assert "greenserve = greenserve.pytest_plugin" in entry_points


def test_the_extra_all_is_what_a_server_can_use(wheel):
    extras = {extra: set[str]() for extra in told(wheel).get_all("Provides-Extra")}
    for requirement in map(Requirement, told(wheel).get_all("Requires-Dist")):
        for extra, names in extras.items():
            if requirement.marker is not None and requirement.marker.evaluate({"extra": extra}):
                names.add(requirement.name)
    assert extras["all"] >= {"uvloop", "websockets", "watchfiles"}
    tools = {"all", "demo", "bench", "test", "fuzz", "lint", "docs"}
    assert extras["all"] == set().union(*(names for extra, names in extras.items() if extra not in tools))


def test_the_sdist_makes_the_same_wheel(sdist, wheel, tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, folder=sdist)
    (again,) = tmp_path.iterdir()
    others = contents(again)
    wheel = wheel.copy()
    compiled, others_compiled = wheel.pop(CORE, b""), others.pop(CORE, b"")
    assert (compiled[:4] == others_compiled[:4] == b"\x7fELF") is COMPILES
    for one in (wheel, others):  # it has the hash of what was compiled, which names its folder
        assert one.pop(f"{INFO}/RECORD")
    assert others == wheel


@pytest.mark.parametrize("variable", ["GREENSERVE_PURE", "CC"])
def test_without_a_compiler_the_wheel_is_pure_python(variable, sdist, wheel, tmp_path):
    env = {"GREENSERVE_PURE": "1"} if variable == "GREENSERVE_PURE" else {"CC": "/bin/false"}
    hatch = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    run(*hatch, folder=sdist, env=env)
    (path,) = tmp_path.iterdir()
    assert path.name == f"greenserve-{VERSION}-py3-none-any.whl"
    assert set(contents(path)) == set(wheel) - {CORE}
    with pytest.raises(AssertionError, match="required, by GREENSERVE_CORE"):
        run(*hatch, folder=sdist, env={**env, "GREENSERVE_CORE": "required"})


def test_the_sdist_is_the_repository_without_what_is_made(sdist):
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "Makefile", "apps/hello.py", "tests/conftest.py"):
        assert (sdist / name).read_bytes() == (ROOT / name).read_bytes()
    names = {path.name for path in sdist.rglob("*")}
    assert not {name for name in names if name.startswith((".venv", ".git", ".mypy", "__pycache__"))} - {
        ".gitignore"
    }


def test_the_installed_command_serves_an_app(installed, tmp_path):
    (tmp_path / "elsewhere.py").write_text(APP)
    flags = ("elsewhere:app", "--bind", "127.0.0.1:0")
    with command(*flags, folder=tmp_path, program=str(installed / "greenserve"), checkout=False) as program:
        host, port = program.listens()
        text = requests.get(f"http://{host}:{port}/", timeout=PATIENCE).text
    software, _, place = text.partition(" ")
    assert software == f"greenserve/{VERSION}"
    assert Path(place).is_relative_to(installed.parent)


def test_the_installed_command_tells_its_version_and_completes(installed, tmp_path):
    says = "compiled core" if COMPILES else "pure Python: installed without the compiled core"
    assert run(installed / "greenserve", "--version", folder=tmp_path) == f"greenserve {VERSION} ({says})\n"
    env = {"GREENSERVE_PURE": "1"}
    assert run(installed / "greenserve", "--version", folder=tmp_path, env=env) == (
        f"greenserve {VERSION} (pure Python, by GREENSERVE_PURE)\n"
    )
    assert "complete" in run(installed / "greenserve", "completion", "bash", folder=tmp_path)


def test_all_modules_are_imported_without_what_is_optional(installed, tmp_path):
    names = [package.name for package in PACKAGES]
    said = run(installed / "python", "-c", IMPORT_ALL, *names, folder=tmp_path)
    lines = [line.split() for line in said.splitlines()]
    places = {line[1]: Path(line[2]) for line in lines if line[0] == "at"}
    assert list(places) == names
    assert all(place.is_relative_to(installed.parent) for place in places.values())
    missing = {line[2].partition(".")[0] for line in lines if line[0] == "misses"}
    assert not missing & (sys.stdlib_module_names | set(names)), said
    assert {"pytest", "django", "bottle"} <= missing, "these come with the tests' environment only"
