"""snapshot: what differs from the files that the app was started with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from greenserve.process.reloading.snapshot import Snapshot

_LONG_AGO = 1.0
_NEVER = 1e12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("a")
    (tmp_path / "b.py").write_text("b")
    return tmp_path


@pytest.fixture
def snapshot(folder: Path) -> Snapshot:
    made = Snapshot()
    made.add({str(folder): ".py"}, [], _NEVER)
    return made


def _names(snapshot: Snapshot, lenient: bool = False) -> list[str]:
    return sorted(Path(path).name for path in snapshot.changes(lenient))


def test_nothing_has_changed(snapshot: Snapshot) -> None:
    assert _names(snapshot) == []


def test_a_change_is_told_until_it_is_accepted(folder: Path, snapshot: Snapshot) -> None:
    (folder / "a.py").write_text("new")
    assert _names(snapshot) == ["a.py"]
    assert _names(snapshot) == ["a.py"]
    snapshot.accept()
    assert _names(snapshot) == []


def test_what_is_written_back_has_not_changed(folder: Path, snapshot: Snapshot) -> None:
    (folder / "a.py").write_text("")
    assert _names(snapshot) == ["a.py"]
    (folder / "a.py").write_text("a")
    assert _names(snapshot) == []


def test_new_and_gone(folder: Path, snapshot: Snapshot) -> None:
    (folder / "c.py").write_text("")
    (folder / "b.py").unlink()
    assert _names(snapshot) == ["b.py", "c.py"]
    assert snapshot.changes()[str(folder / "b.py")] is None
    snapshot.accept()
    assert _names(snapshot) == []


def test_a_rename_over_the_file(folder: Path, snapshot: Snapshot) -> None:
    (folder / "a.py~").write_text("new")
    (folder / "a.py~").rename(folder / "a.py")
    assert _names(snapshot) == ["a.py"]


def test_a_rename_over_the_file_with_the_same_content(folder: Path, snapshot: Snapshot) -> None:
    (folder / "a.py~").write_text("a")
    (folder / "a.py~").rename(folder / "a.py")
    assert _names(snapshot) == []


def test_a_package_that_is_moved_in_and_out(
    folder: Path, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    package = tmp_path_factory.mktemp("elsewhere") / "package"
    package.mkdir()
    (package / "c.py").write_text("")
    shutil.move(package, folder)
    assert _names(snapshot) == ["c.py"]
    assert str(folder / "package") in snapshot.folders
    snapshot.accept()
    shutil.move(folder / "package", package)
    assert _names(snapshot) == ["c.py"]
    assert str(folder / "package") not in snapshot.folders


def test_a_touch_counts_only_for_an_app_that_has_failed(folder: Path, snapshot: Snapshot) -> None:
    os.utime(folder / "a.py", (5, 5))
    assert _names(snapshot, lenient=True) == ["a.py"]
    assert _names(snapshot) == []
    assert _names(snapshot, lenient=True) == []  # and only once


def test_a_folder_counts_only_then_too(folder: Path, snapshot: Snapshot) -> None:
    packages = folder / "site-packages"
    packages.mkdir()
    snapshot.add({}, [str(packages)], _LONG_AGO)
    (packages / "flask").mkdir()
    assert _names(snapshot) == []
    os.utime(packages, (5, 5))
    assert _names(snapshot, lenient=True) == ["site-packages"]


def test_a_file_that_does_not_exist_yet(folder: Path, snapshot: Snapshot) -> None:
    extra = folder / "settings.toml"
    snapshot.add({}, [str(extra)], _LONG_AGO)
    assert _names(snapshot) == []
    extra.write_text("")
    assert _names(snapshot) == ["settings.toml"]
    snapshot.accept()
    extra.unlink()
    snapshot.changes()
    snapshot.accept()
    extra.write_text("")
    assert _names(snapshot) == ["settings.toml"]


def test_what_was_saved_while_the_app_was_imported_has_changed(folder: Path) -> None:
    os.utime(folder / "a.py", (200, 200))
    os.utime(folder / "b.py", (100, 100))
    snapshot = Snapshot()
    snapshot.add({str(folder): ".py"}, [], 150)
    assert _names(snapshot) == ["a.py"]
    snapshot.accept()
    assert _names(snapshot) == []


def test_what_is_known_is_not_changed_by_being_told_again(folder: Path, snapshot: Snapshot) -> None:
    snapshot.add({str(folder): ".py"}, [str(folder / "a.py")], _LONG_AGO)
    assert _names(snapshot) == []
