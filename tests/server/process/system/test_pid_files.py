"""pid_files: the number of the process that runs, whatever the file held before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from greenserve.errors import RETRY, ConfigError
from greenserve.process.system.pid_files import PidFile

pytestmark = pytest.mark.no_hub


@pytest.mark.parametrize("before", [None, "", "1\n", "999999999\n", "lies\0\xff"])
def test_it_holds_this_process_until_it_is_closed(before: str | None, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    if before is not None:
        path.write_text(before)
    one = PidFile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    one.close()
    assert not path.exists()
    one.close()


def test_a_second_server_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    path = str(tmp_path / "pid")
    one = PidFile(path)
    with pytest.raises(ConfigError, match=f"runs already, as process {os.getpid()}") as refused:
        PidFile(path)
    assert refused.value.exit_code == RETRY
    one.close()
    PidFile(path).close()


def test_one_that_another_has_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    one = PidFile(str(path))
    path.unlink()
    path.write_text("another's")
    one.close()
    assert path.read_text() == "another's"


def test_a_child_neither_holds_nor_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    one = PidFile(str(path))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        one.close()
        os.read(reader, 1)
        os._exit(0)
    one.close()
    PidFile(str(path)).close()  # while the child lives
    os.write(writer, b"x")
    assert os.waitpid(child, 0)[1] == 0
    os.close(reader)
    os.close(writer)


def test_the_folder_changes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = PidFile("pid")
    monkeypatch.chdir("/")
    one.close()
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("path", ["none/pid", "."])
def test_one_that_cannot_be_written(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^pid = '.*': can't be written: "):
        PidFile(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    (tmp_path / "pid").symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigError, match="can't be written"):
        PidFile(str(tmp_path / "pid"))
    assert (tmp_path / "precious").read_text() == "data"
