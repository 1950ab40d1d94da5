"""when_imported: a word to a module as soon as it is there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from greenserve_hub.patching.stdlib import import_hooks
from greenserve_hub.patching.stdlib.import_hooks import when_imported


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("gs_hook")]:
        del sys.modules[name]
    import_hooks._wanted.clear()


def test_before_and_after_the_import(folder: Path):
    (folder / "gs_hook_one.py").write_text("value = 1\n")
    seen: list[int] = []

    def word(module: ModuleType) -> None:
        seen.append(module.value)

    when_imported("gs_hook_one", word)
    assert seen == []
    module = importlib.import_module("gs_hook_one")
    assert seen == [1]
    assert module.__spec__ is not None
    assert module.__loader__ is module.__spec__.loader
    assert type(module.__loader__).__name__ == "SourceFileLoader"
    when_imported("gs_hook_one", word)
    assert seen == [1, 1]


def test_a_submodule(folder: Path):
    (folder / "gs_hook_package").mkdir()
    (folder / "gs_hook_package" / "__init__.py").write_text("")
    (folder / "gs_hook_package" / "inner.py").write_text("value = 2\n")
    seen: list[str] = []
    when_imported("gs_hook_package.inner", lambda module: seen.append(module.__name__))
    importlib.import_module("gs_hook_package")
    assert seen == []
    importlib.import_module("gs_hook_package.inner")
    assert seen == ["gs_hook_package.inner"]


def test_one_that_is_not_there_or_fails(folder: Path):
    seen: list[object] = []
    when_imported("gs_hook_nowhere", seen.append)
    with pytest.raises(ModuleNotFoundError, match="gs_hook_nowhere"):
        importlib.import_module("gs_hook_nowhere")
    (folder / "gs_hook_fails.py").write_text("1 / 0\n")
    when_imported("gs_hook_fails", seen.append)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("gs_hook_fails")
    assert seen == []
    (folder / "gs_hook_nowhere.py").write_text("")
    importlib.invalidate_caches()
    importlib.import_module("gs_hook_nowhere")
    assert len(seen) == 1, "it is still wanted"
