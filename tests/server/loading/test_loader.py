"""loader and importing: APP in all its forms, and the one line when it can't be had."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenserve.errors import AppImportError
from greenserve.loading.loader import load_app

Write = Callable[..., Path]

APP = """
def {name}(environ, start_response):
    start_response("200 OK", [])
    return [b"{name}"]
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Go to an empty folder; gives a function that writes a file in it. Imports are undone after."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(name: str, *texts: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(texts))
        importlib.invalidate_caches()
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def body(app: Any) -> bytes:
    return b"".join(app({}, lambda status, fields: None))


def refusal(spec: str, exit_code: int = 3) -> AppImportError:
    with pytest.raises(AppImportError) as caught:
        load_app(spec)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == exit_code
    return caught.value


FACTORY = """
def make(name="none", *, times=1):
    def app(environ, start_response):
        return [name.encode() * times]
    return app
class Box:
    class Inner:
        made = make("inner")
        make = staticmethod(make)
"""


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        ("gs_mod:one", b"one"),
        ("gs_mod:make()", b"none"),
        ("gs_mod:make('a:b', times=2)", b"a:ba:b"),
        ("gs_mod:Box.Inner.made", b"inner"),
        ("gs_mod:Box.Inner.make('x')", b"x"),
        ("gs_mod.py:one", b"one"),
        ("./gs_mod.py:make('y')", b"y"),
        (" gs_mod:one ", b"one"),
    ],
)
def test_module_and_attribute(write: Write, spec: str, answer: bytes) -> None:
    write("gs_mod.py", APP.format(name="one"), FACTORY)
    assert body(load_app(spec)) == answer


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        (("application", "app", "create_app"), b"application"),
        (("app", "create_app"), b"app"),
        (("other", "app"), b"app"),
    ],
)
def test_a_module_alone_gives_application_then_app(
    write: Write, names: tuple[str, ...], answer: bytes
) -> None:
    write("gs_mod.py", *(APP.format(name=name) for name in names))
    assert body(load_app("gs_mod")) == answer
    assert body(load_app("gs_mod.py")) == answer


def test_a_module_alone_calls_create_app(write: Write) -> None:
    write(
        "gs_mod.py",
        "def create_app():",
        APP.format(name="made").replace("\n", "\n    "),
        "\n    return made\n",
    )
    assert body(load_app("gs_mod")) == b"made"


def test_a_submodule_named_app_is_not_the_app(write: Write) -> None:
    write("gs_pkg/__init__.py", "import gs_pkg.app\ndef create_app():\n    return gs_pkg.app.real\n")
    write("gs_pkg/app.py", APP.format(name="real"))
    assert body(load_app("gs_pkg")) == b"real"
    write("gs_two/__init__.py", "import gs_two.app\n")
    write("gs_two/app.py", "")
    assert "gs_two.app is a module" in str(refusal("gs_two"))


def test_dotted_modules(write: Write) -> None:
    write("gs_pkg/__init__.py")
    write("gs_pkg/web.py", APP.format(name="app"))
    assert body(load_app("gs_pkg.web")) == b"app"
    assert body(load_app("gs_pkg.web:app")) == b"app"


def test_the_current_folder_comes_first(write: Write) -> None:
    write("gs_mod.py", APP.format(name="app"))
    load_app("gs_mod:app")
    assert sys.path[0] == os.getcwd()
    load_app("gs_mod:app")
    assert sys.path.count(os.getcwd()) == 1


@pytest.mark.parametrize("spec", ["sub/gs_file.py", "sub/gs_file.py:app", "{here}/sub/gs_file.py:app"])
def test_a_file_elsewhere_imports_its_neighbours(write: Write, spec: str) -> None:
    write("sub/gs_neighbour.py", APP.format(name="app"))
    write("sub/gs_file.py", "from gs_neighbour import app\nimport gs_here\n")
    write("gs_here.py", "")  # the current folder stays importable
    assert body(load_app(spec.format(here=os.getcwd()))) == b"app"


def test_a_file_in_a_package_is_imported_as_part_of_it(write: Write) -> None:
    write("sub/gs_pkg/__init__.py", "")
    write("sub/gs_pkg/parts.py", APP.format(name="app"))
    write("sub/gs_pkg/web.py", "from .parts import app\n")
    assert body(load_app("sub/gs_pkg/web.py")) == b"app"
    assert "gs_pkg.web" in sys.modules


@pytest.mark.parametrize("spec", ["sub/gs_pkg", "sub/gs_pkg/", "sub/gs_pkg:app", "sub/gs_pkg/__init__.py"])
def test_a_package_folder(write: Write, spec: str) -> None:
    write("sub/gs_pkg/__init__.py", "from .web import app\n")
    write("sub/gs_pkg/web.py", APP.format(name="app"))
    assert body(load_app(spec)) == b"app"


@pytest.mark.parametrize("name", ["my-app.py", "gs_app.wsgi", "a:b.py"])
def test_files_that_no_import_could_name(write: Write, name: str) -> None:
    write(
        name,
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: 'int' = 1\n",
        APP.format(name="app"),
    )
    assert body(load_app(name)) == b"app"


def test_such_a_file_that_fails_leaves_no_module(write: Write) -> None:
    write("my-app.py", "1/0\n")
    before = set(sys.modules)
    assert "ZeroDivisionError: division by zero" in str(refusal("my-app.py"))
    assert set(sys.modules) == before


def test_a_file_whose_name_is_taken_says_by_what(write: Write) -> None:
    path = write("json.py", APP.format(name="app"))
    line = str(refusal("json.py:app"))
    assert line.startswith(f"{path} can't be imported as json: ")
    assert "has that name already" in line


# What can't be had ------------------------------------------------------------------------------


def test_a_missing_module_is_one_line_with_the_closest(write: Write) -> None:
    write("gs_shop.py", "")
    error = refusal("gs_shpo:app")
    assert str(error) == f"no module gs_shpo in {os.getcwd()} or among the installed; did you mean gs_shop?"
    assert error.details == ""
    assert str(refusal("gs_shop.web:app")).startswith("no module gs_shop.web in ")


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("nowhere/app.py", "no such file: "),
        ("gs_nothing.py:app", "no such file: "),
        (".", "is a folder without __init__.py"),
        ("gs_mod:", "'gs_mod:' names no app after the colon"),
        (":app", "':app' names no app: write module:attr"),
        ("", "'' names no app"),
        ("two words:app", "'two words:app' names no app"),
        ("gs_mod:one two", "write a name after the colon, or a call of a name with literal arguments"),
        ("gs_mod:make(os.environ)", "literal arguments"),
        ("gs_mod:make(**{'name': 'x'})", "literal arguments"),
        ("gs_mod:make()()", "write a name after the colon"),
        ("gs_mod:[1][0]", "write a name after the colon"),
        ("gs_mod:__import__('os').system('x')", "write a name after the colon"),
        ("gs_mod:onee", "gs_mod has no onee; did you mean one?"),
        ("gs_mod:Box.Inner.mad", "gs_mod.Box.Inner has no mad; did you mean mad"),
        ("gs_mod:zzzz", "gs_mod has no zzzz; it has one, make, Box"),
        ("gs_mod:one.zzzz", "gs_mod.one has no zzzz"),
        ("gs_mod:value()", "gs_mod:value(): value is an int, which can't be called"),
        ("gs_mod:value", "gs_mod:value is an int, which can't be called; a WSGI app takes"),
        ("gs_mod:give_none()", "gs_mod:give_none() is None, which can't be called"),
        ("gs_mod:give_none", "gs_mod:give_none takes (), not (environ, start_response); if it makes the app"),
        (
            "gs_mod",
            "gs_mod has no application, app or create_app; it has one, make, Box, give_none, serve_async",
        ),
        ("gs_mod:serve_async", "gs_mod:serve_async is an ASGI app"),
    ],
)
def test_what_can_not_be_had_is_one_line(write: Write, spec: str, line: str) -> None:
    write(
        "gs_mod.py",
        APP.format(name="one"),
        FACTORY,
        "value = 3\ndef give_none(): pass\nasync def serve_async(scope, receive, send): pass\n",
    )
    error = refusal(spec)
    assert line in str(error)
    assert error.details == ""


@pytest.mark.parametrize("spec", ["gs_mod:app", "gs_mod", "gs_mod.py", "./gs_mod.py:app"])
def test_an_import_that_fails_brings_the_users_traceback_alone(write: Write, spec: str) -> None:
    write("gs_mod.py", "import gs_inner\n")
    write("gs_inner.py", "def f():\n    raise ValueError('bad\\nvalue')\nf()\n")
    error = refusal(spec)
    assert str(error) == "can't import gs_mod: ValueError: bad value"
    files = [line.split('"')[1] for line in error.details.splitlines() if line.startswith("  File ")]
    assert [Path(file).name for file in files] == ["gs_mod.py", "gs_inner.py", "gs_inner.py"]
    assert error.details.startswith("Traceback (most recent call last):\n")
    assert error.details.endswith("ValueError: bad\nvalue\n")


def test_a_module_that_the_app_misses_is_the_users_traceback(write: Write) -> None:
    write("gs_mod.py", "import gs_missing\n")
    error = refusal("gs_mod:app")
    assert str(error) == "can't import gs_mod: ModuleNotFoundError: No module named 'gs_missing'"
    assert "import gs_missing" in error.details
    write("gs_pkg/__init__.py", "from gs_pkg import web\nimport gs_pkg.nothing\n")
    write("gs_pkg/web.py", "")
    assert "import gs_pkg.nothing" in refusal("gs_pkg.web:app").details


def test_a_syntax_error_shows_the_line(write: Write) -> None:
    write("gs_mod.py", "x = 1\nif x\n")
    error = refusal("gs_mod:app")
    assert "SyntaxError" in str(error)
    assert "gs_mod.py" in error.details
    assert "if x" in error.details


def test_a_chained_error_is_shown_whole(write: Write) -> None:
    write("gs_mod.py", "try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise OSError('no') from e\n")
    details = refusal("gs_mod:app").details
    assert "ZeroDivisionError: division by zero" in details
    assert "direct cause" in details
    assert "greenserve" not in details


@pytest.mark.parametrize(
    ("text", "line", "exit_code"),
    [
        ("def make():\n    raise KeyError('DB')\n", "gs_mod:make() failed: KeyError: 'DB'", 4),
        ("def make():\n    raise OSError('no DB')\n", "gs_mod:make() failed: OSError: no DB", 4),
        # No next try will do better.
        (
            "def make(db): pass\n",
            "gs_mod:make() failed: TypeError: make() missing 1 required positional argument: 'db'",
            3,
        ),
        (
            "def make():\n    import gs_none\n",
            "gs_mod:make() failed: ModuleNotFoundError: No module named 'gs_none'",
            3,
        ),
        ("def make():\n    raise SystemExit('enough')\n", "gs_mod:make() failed: SystemExit: enough", 3),
    ],
)
def test_a_factory_that_fails(write: Write, text: str, line: str, exit_code: int) -> None:
    write("gs_mod.py", text)
    error = refusal("gs_mod:make()", exit_code)
    assert str(error) == line
    assert ("raise" in error.details) == ("raise" in text)


def test_create_app_that_fails(write: Write) -> None:
    write("gs_mod.py", "def create_app():\n    1/0\n")
    error = refusal("gs_mod", 4)
    assert str(error) == "gs_mod:create_app() failed: ZeroDivisionError: division by zero"
    assert "1/0" in error.details


def test_a_module_that_ends_the_program_does_not_end_ours(write: Write) -> None:
    write("gs_mod.py", "import sys\nsys.exit(0)\n")
    assert str(refusal("gs_mod:app")) == "can't import gs_mod: SystemExit: 0"


def test_a_lazy_attribute_may_raise_anything(write: Write) -> None:
    write("gs_mod.py", "def __getattr__(name):\n    raise RuntimeError('not yet')\n")
    error = refusal("gs_mod:app")
    assert str(error) == "can't get app: RuntimeError: not yet"
    assert "__getattr__" in error.details


def test_ctrl_c_during_the_import_is_ctrl_c(write: Write) -> None:
    write("gs_mod.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_app("gs_mod:app")
