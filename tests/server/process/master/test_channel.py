"""channel: messages between two processes, here between two ends in one hub."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator

import pytest
from tests.support.servers.running import open_files, own_hub

from greenserve.process.master.channel import Channel, Message, pair
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.testing import wait_all_blocked


class End:
    """One end, and what it was told."""

    def __init__(self, sock: socket.socket) -> None:
        self.heard: list[Message] = []
        self.fds: list[list[int]] = []
        self.ends = 0
        self.channel = Channel(sock, self._hears, self._ended)

    def _hears(self, message: Message, fds: list[int]) -> None:
        self.heard.append(message)
        self.fds.append(fds)

    def _ended(self) -> None:
        self.ends += 1


@pytest.fixture(autouse=True)
def hub() -> Iterator[None]:
    """No green thread and no descriptor is left."""
    before = open_files()
    with own_hub():
        yield
    assert {fd for fd in open_files() if fd not in before} == set()


@contextlib.contextmanager
def _ends() -> Iterator[tuple[End, End]]:
    one, other = (End(sock) for sock in pair())
    try:
        yield one, other
    finally:
        one.channel.close()
        other.channel.close()
        wait_all_blocked()


@contextlib.contextmanager
def _end_and_raw() -> Iterator[tuple[End, socket.socket]]:
    ours, theirs = pair()
    end = End(ours)
    try:
        yield end, theirs
    finally:
        theirs.close()
        end.channel.close()
        wait_all_blocked()


def test_messages_in_their_order_both_ways():
    with _ends() as (one, other):
        for number in range(5):
            one.channel.send({"do": number})
        other.channel.send({"ready": ["ä"]})
        wait_all_blocked()
        assert other.heard == [{"do": number} for number in range(5)]
        assert one.heard == [{"ready": ["ä"]}]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_message_comes_in_pieces_of_any_size(size):
    data = b'{"a": 1}\n{"b": "xyz"}\n{"c": []}\n'
    with _end_and_raw() as (end, raw):
        for start in range(0, len(data), size):
            raw.sendall(data[start : start + size])
            wait_all_blocked()
        assert end.heard == [{"a": 1}, {"b": "xyz"}, {"c": []}]


def test_a_message_of_many_megabytes():
    text = "x" * (10 << 20)
    with _ends() as (one, other):
        one.channel.send({"stack": text})
        one.channel.send({"next": 1})
        wait_all_blocked()
        assert other.heard == [{"stack": text}, {"next": 1}]


def test_descriptors_come_with_their_own_message():
    with _ends() as (one, other), open(os.devnull) as file, socket.socket() as sock:
        one.channel.send({"do": "plain"})
        one.channel.send({"do": "adopt"}, [file.fileno(), sock.fileno()])
        one.channel.send({"do": "adopt"}, [sock.fileno()])
        wait_all_blocked()
        assert [message["do"] for message in other.heard] == ["plain", "adopt", "adopt"]
        assert [len(fds) for fds in other.fds] == [0, 2, 1]
        for fd, of in zip(other.fds[1] + other.fds[2], (file, sock, sock), strict=True):
            assert os.path.sameopenfile(fd, of.fileno())
            assert not os.get_inheritable(fd)
            os.close(fd)


def test_a_descriptor_may_be_closed_before_it_was_sent():
    with _ends() as (one, other):
        sock = socket.socket()
        inode = os.fstat(sock.fileno()).st_ino
        one.channel.send({"do": "adopt"}, [sock.fileno()])
        sock.close()
        with open(os.devnull):  # which gets the same number
            wait_all_blocked()
        (fd,) = other.fds[0]
        assert os.fstat(fd).st_ino == inode
        os.close(fd)


def test_descriptors_that_cannot_be_sent_any_more_are_closed():
    with _end_and_raw() as (end, raw), socket.socket() as sock:
        end.channel.send({"do": "x" * (1 << 20)})
        end.channel.send({"do": "adopt"}, [sock.fileno()])
        wait_all_blocked()
        raw.close()
        wait_all_blocked()
        assert end.ends == 1  # the fixture sees a descriptor that is left


def test_the_end_of_the_other_side_is_told_once_and_after_its_last_words():
    with _end_and_raw() as (end, raw):
        raw.sendall(b'{"failed": "why"}\n')
        raw.close()
        wait_all_blocked()
        assert end.heard == [{"failed": "why"}]
        assert end.ends == 1
        assert end.channel.is_closed
        end.channel.send({"do": "nothing"})
        wait_all_blocked()


def test_a_close_of_our_own_is_not_told():
    with _ends() as (one, other):
        one.channel.close()
        one.channel.close()
        wait_all_blocked()
        assert (one.ends, other.ends) == (0, 1)


def test_a_side_that_does_not_read_holds_up_nobody():
    with _end_and_raw() as (end, raw):
        for number in range(300):
            end.channel.send({"do": number, "filler": "x" * 10_000})
        sleep()
        end.channel.send({"do": "last"})
        raw.setblocking(False)
        read = bytearray()
        while not read.endswith(b'{"do": "last"}\n'):
            with contextlib.suppress(BlockingIOError):
                read += raw.recv(1 << 20)
            sleep()
        lines = [json.loads(line) for line in read.splitlines()]
        assert [line["do"] for line in lines] == [*range(300), "last"]


def test_a_message_that_cannot_be_handled_is_logged_and_the_next_one_is_heard(caplog):
    heard = []

    def hear(message: Message, fds: list[int]) -> None:
        heard.append(message)
        if len(heard) == 1:
            raise RuntimeError("a fault")

    ours, theirs = pair()
    channel = Channel(ours, hear, lambda: None)
    theirs.sendall(b'{"a": 1}\n{"b": 2}\n')
    wait_all_blocked()
    theirs.close()
    channel.close()
    wait_all_blocked()
    assert heard == [{"a": 1}, {"b": 2}]
    assert "RuntimeError: a fault" in caplog.text


def test_the_child_of_a_fork_holds_no_copy():
    with _end_and_raw() as (end, _), socket.socket() as sock:
        end.channel.send({"do": "x" * (1 << 20)})
        end.channel.send({"do": "adopt"}, [sock.fileno()])
        wait_all_blocked()
        sent = [os.fstat(fd).st_ino for fd in (end.channel.fileno(),)]
        child = os.fork()
        if child == 0:
            left = [name for name in open_files().values() if name in {f"socket:[{one}]" for one in sent}]
            copies = list(open_files().values()).count(f"socket:[{os.fstat(sock.fileno()).st_ino}]")
            os._exit(len(left) + 10 * (copies - 1))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
