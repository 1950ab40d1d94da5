"""marks: by what a file is known again, and what belongs to a tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from greenserve.process.reloading.marks import mark_of, tree_of


def _make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


class TestMark:
    def test_what_nothing_has_touched_is_not_read_again(self, tmp_path: Path) -> None:
        path = tmp_path / "a.py"
        path.write_text("a")
        first = mark_of(str(path), None)
        assert mark_of(str(path), first) is first

    def test_a_touch_keeps_the_content(self, tmp_path: Path) -> None:
        path = tmp_path / "a.py"
        path.write_text("a")
        first = mark_of(str(path), None)
        os.utime(path, (1, 1))
        second = mark_of(str(path), first)
        assert first is not None
        assert second is not None
        assert (second.content, second.changed) == (first.content, 1)
        assert second.times != first.times

    def test_new_content_with_the_times_and_size_of_before(self, tmp_path: Path) -> None:
        path = tmp_path / "a.py"
        path.write_text("a")
        os.utime(path, (1, 1))
        first = mark_of(str(path), None)
        path.write_text("b")
        os.utime(path, (1, 1))
        second = mark_of(str(path), first)
        assert first is not None
        assert second is not None
        assert second.content != first.content

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        assert mark_of(str(tmp_path / "none.py"), None) is None
        assert mark_of(str(tmp_path / "fifo"), None) is not None  # and does not wait for a writer
        folder = mark_of(str(tmp_path), None)
        assert folder is not None
        assert folder.content == b""

    def test_a_file_that_must_not_be_read_is_as_if_gone(self, tmp_path: Path) -> None:
        path = tmp_path / "loop.py"
        path.symlink_to(path)
        assert mark_of(str(path), None) is None


class TestTree:
    def test_code_but_no_environments_caches_or_hidden_folders(self, tmp_path: Path) -> None:
        _make(
            tmp_path, "a.py", "b/c/d.py", "b/page.html", ".git/e.py", "__pycache__/f.py", "node_modules/g.py"
        )
        _make(tmp_path, "venv/pyvenv.cfg", "venv/lib/h.py", ".i.py", "lib/site-packages/j.py")
        tree = tree_of(str(tmp_path), ".py")
        assert sorted(Path(path).relative_to(tmp_path).as_posix() for path in tree.files) == [
            "a.py",
            "b/c/d.py",
        ]
        assert {Path(path).name for path in tree.folders} == {tmp_path.name, "b", "c", "lib"}
        assert tree.is_whole

    def test_all_files_with_an_empty_suffix(self, tmp_path: Path) -> None:
        _make(tmp_path, "page.html", "deep/page.css")
        assert len(tree_of(str(tmp_path), "").files) == 2

    def test_a_link_to_a_folder_is_no_circle(self, tmp_path: Path) -> None:
        (tmp_path / "again").symlink_to(tmp_path)
        assert tree_of(str(tmp_path), ".py").folders == [str(tmp_path)]

    def test_the_deepest_folders_are_left_out_of_too_large_a_tree(self, tmp_path: Path) -> None:
        _make(tmp_path, "a.py", "b/c/d.py", "b/e.py")
        tree = tree_of(str(tmp_path), ".py", 2)
        assert sorted(Path(path).name for path in tree.files) == ["a.py", "e.py"]
        assert not tree.is_whole

    @pytest.mark.parametrize("suffix", ["", ".py"])
    def test_a_folder_that_is_gone(self, tmp_path: Path, suffix: str) -> None:
        assert tree_of(str(tmp_path / "none"), suffix).files == []
