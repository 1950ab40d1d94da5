"""A virtual environment for a Python and each flavour in it: .venv-conformance-3.11 and so on.

Made anew when pyproject.toml is newer. Called by runs.py before anything runs; a peer that will not install or patch is
left out, and the reason stands under the table.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.conformance import catalogue

ROOT = Path(__file__).parents[2]
FLAVOURS = ["unpatched", "greenserve", "gevent", "eventlet"]
PEERS = FLAVOURS[2:]
PATCHES = Path(__file__).with_name("patches.py")

# A package is no module here: catalogue.py names those within it.
FACTS = """
import importlib.util, json, sys
def find(name):
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
specs = {name: find(name) for name in sys.argv[1:]}
found = [name for name, spec in specs.items() if spec and not spec.submodule_search_locations]
print(json.dumps([sys.version.split()[0], found]))
"""
TYPICAL = "test.test_socket"
NO_TESTS = """\
{python} ({version}) has no `test.test_socket`: its own tests are not installed.
Debian keeps them in libpython{minor}-testsuite. Or give a Python that has them, such as one built from source or by \
pyenv: python -m tests.conformance --python ~/.pyenv/versions/3.11.7/bin/python"""


class Unusable(Exception):
    """The Python has no tests, or no environment can be made for it; the text says what to do."""


@dataclass(slots=True)
class Environment:
    """python: the one of the virtual environment; modules: those of the catalogue that it has.

    versions: of each flavour that works; missing: of each other, why not.
    """

    python: str
    version: str
    modules: list
    versions: dict
    missing: dict

    @property
    def minor(self):
        return minor(self.version)


def minor(version):
    return ".".join(version.split(".")[:2])


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def prepare(python, wanted):
    """The environment of a Python that has tests; `wanted`: their modules."""
    version, modules = facts(python, *wanted, TYPICAL)
    if TYPICAL not in modules:
        raise Unusable(NO_TESTS.format(python=python, version=version, minor=minor(version)))
    inner = environment_of(python, version)
    environment = Environment(inner, version, [one for one in wanted if one in modules], {}, {})
    for flavour in FLAVOURS:
        patched = run([inner, str(PATCHES), flavour], cwd=Path(inner).parents[1])
        if patched.returncode:
            environment.missing[flavour] = patched.stderr.strip().splitlines()[-1]
        else:
            environment.versions[flavour] = patched.stdout.strip()
    return environment


def facts(python, *modules):
    """(version, those of the modules that it has)."""
    told = run([python, "-c", FACTS, *modules], env={**os.environ, "PYTHONPATH": str(catalogue.PATH)})
    if told.returncode:
        raise Unusable(f"{python} does not run: {told.stderr.strip()}")
    return json.loads(told.stdout)


def environment_of(python, version=None):
    """The Python of the virtual environment for this one, which is made if it is not there or out of date."""
    version = version or facts(python)[0]
    folder = ROOT / f".venv-conformance-{minor(version)}"
    inner = str(folder / "bin" / "python")
    stamp = folder / ".stamp"
    if not stamp.exists() or stamp.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        install(python, folder, inner)
        stamp.touch()
    return inner


def install(python, folder, inner):
    made = run([python, "-m", "venv", "--clear", str(folder)])
    if made.returncode:
        raise Unusable(f"{python} can't make a virtual environment: {made.stderr or made.stdout}")
    for wanted in (["-e", str(ROOT)], *([peer] for peer in PEERS)):
        command = [inner, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *wanted]
        done = run(command, timeout=600)
        if done.returncode and wanted[0] == "-e":
            raise Unusable(f"greenserve does not install: {done.stderr.strip()}")
