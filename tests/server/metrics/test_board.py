"""board: numbers that processes share, each whole, each with its name."""

from __future__ import annotations

import os

import pytest

from greenserve.metrics.board import LARGEST, Board


def test_rows_are_apart_and_begin_at_zero():
    board = Board(["requests", "beat"], 3)
    board.row(1)["beat"] = 7
    assert [board.row(index).values() for index in range(3)] == [
        {"requests": 0, "beat": 0},
        {"requests": 0, "beat": 7},
        {"requests": 0, "beat": 0},
    ]
    board.row(1).clear()
    assert board.row(1)["beat"] == 0
    board.close()


def test_the_largest_number_and_no_larger_one():
    board = Board(["n"], 1)
    board.row(0)["n"] = LARGEST
    assert board.row(0)["n"] == LARGEST
    with pytest.raises(ValueError, match="format"):
        board.row(0)["n"] = LARGEST + 1
    with pytest.raises(ValueError, match="format"):
        board.row(0)["n"] = -1
    assert board.row(0)["n"] == LARGEST
    board.close()


@pytest.mark.parametrize("index", [-1, 1])
def test_no_such_row(index):
    board = Board(["n"], 1)
    with pytest.raises(IndexError, match="1 rows"):
        board.row(index)
    board.close()


def test_another_process_writes():
    board = Board(["n"], 1)
    child = os.fork()
    if child == 0:
        board.row(0)["n"] = 5
        os._exit(0)
    os.waitpid(child, 0)
    assert board.row(0)["n"] == 5
    board.close()


def test_a_number_is_never_read_half_written():
    board = Board(["n", "end"], 1)
    child = os.fork()
    if child == 0:
        row = board.row(0)
        for turn in range(20_000):
            row["n"] = LARGEST if turn % 2 else 0x0101010101010101
        row["end"] = 1
        os._exit(0)
    row, seen = board.row(0), set()
    while not row["end"]:
        seen.add(row["n"])
    os.waitpid(child, 0)
    assert seen <= {0, LARGEST, 0x0101010101010101}
    board.close()


def test_a_newer_program_takes_it_over():
    old = Board(["requests", "gone"], 2)
    old.row(1)["requests"] = 3
    new = Board.attach(os.dup(old.fd))
    assert (new.names, new.rows) == (("requests", "gone"), 2)
    assert new.row(1)["requests"] == 3
    new.close()
    old.close()


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 64, b"\x02" + b"\0" * 7 + b"{}", (2**40).to_bytes(8, "little") + b"x" * 8]
)
def test_a_file_that_holds_none(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    fd = os.open(tmp_path / "file", os.O_RDWR)
    with pytest.raises((ValueError, KeyError)):
        Board.attach(fd)
    os.close(fd)
