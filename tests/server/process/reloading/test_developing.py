"""developing: what a worker tells the watcher."""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from wsgiref.types import WSGIApplication

import pytest

from greenserve.errors import AppImportError
from greenserve.loading.loader import load_app
from greenserve.process.reloading.developing import Developing
from greenserve.process.reloading.error_page import ErrorPage


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def _load() -> WSGIApplication:
    return load_app("developed_app:app")


def test_the_files_that_the_app_has_loaded(folder: Path) -> None:
    (folder / "developed_app.py").write_text("import developed_part, this\ndef app(environ, start): ...\n")
    (folder / "developed_part.py").write_text("")
    began = time.time()
    developing = Developing()
    assert began <= developing.news()["since"] <= time.time()  # type: ignore[index]
    assert developing.load(_load) is sys.modules["developed_app"].app
    news = developing.news()
    assert news is not None
    # Not Python's own `this`, and nothing that was loaded before.
    assert news["files"] == [str(folder / "developed_app.py"), str(folder / "developed_part.py")]
    assert not news["lenient"]
    assert developing.news() is None
    sys.modules["developed_later"] = module = types.ModuleType("developed_later")
    module.__file__ = str(folder / "later.py")
    Path(module.__file__).write_text("")
    later = developing.news()
    assert later is not None
    assert str(folder / "later.py") in later["files"]


def test_an_app_outside_of_the_working_folder_brings_its_tree(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "developed_app.py").write_text("def app(environ, start): ...\n")
    (folder / "work").mkdir()
    developing = Developing()
    developing.load(lambda: load_app("other/developed_app.py:app"))
    news = developing.news()
    assert news is not None
    assert str(folder / "other") in news["trees"]


def test_an_app_that_cannot_be_loaded(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "developed_app.py").write_text("import developed_part\n")
    (folder / "developed_part.py").write_text("def (")
    developing = Developing()
    page = developing.load(_load)
    assert isinstance(page, ErrorPage)
    assert "can't import developed_app: SyntaxError" in caplog.text
    news = developing.news()
    assert news is not None
    assert {str(folder / "developed_app.py"), str(folder / "developed_part.py")} <= set(news["files"])
    assert news["lenient"]
    # Where a missing package would be installed.
    assert any(path.endswith("site-packages") for path in news["files"])
    developing.end()
    assert list(page({"HTTP_ACCEPT": "text/event-stream"}, lambda *_: lambda _: None))[1:] == []


def test_strange_modules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    developing = Developing()
    for name, path in (("x_none", None), ("x_number", 3), ("x_gone", str(folder / "gone" / "x.py"))):
        module = types.ModuleType(name)
        module.__file__ = path  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "x_object", object())  # type: ignore[misc]
    archive = folder / "app.zip"
    archive.write_bytes(b"")
    zipped = types.ModuleType("x_zipped")
    zipped.__file__ = str(archive / "inside.py")
    monkeypatch.setitem(sys.modules, "x_zipped", zipped)
    news = developing.news()
    assert news is not None
    assert news["files"] == [str(archive)]


def test_other_errors_are_not_the_apps(folder: Path) -> None:
    def load() -> WSGIApplication:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Developing().load(load)
    assert issubclass(AppImportError, Exception)
