"""Descriptors of kinds that Python has no names for, or not in every version: by the C library's own calls."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

_c = ctypes.CDLL(None, use_errno=True)
_USERFAULTFD = {"x86_64": 323, "aarch64": 282}  # syscall numbers
_IN_CLOSE_WRITE = 8
_FAN_MARK_ADD, _FAN_OPEN, _FAN_EVENT_ON_CHILD = 1, 0x20, 0x08000000
_UFFDIO_API, _UFFDIO_REGISTER, _UFFDIO_ZEROPAGE = 0xC018AA3F, 0xC020AA00, 0xC020AA04


def _checked(fd: int) -> int:
    if fd < 0:
        number = ctypes.get_errno()
        pytest.skip(f"the system does not let us have one: {os.strerror(number)}")
    return fd


def inotify(folder: Path) -> int:
    """One that is readable when a file in `folder` has been written."""
    fd = _checked(_c.inotify_init1(0))
    _c.inotify_add_watch(fd, bytes(folder), _IN_CLOSE_WRITE)
    return fd


def fanotify(folder: Path) -> int:
    """One that is readable when a file in `folder` is opened."""
    fd = _checked(_c.fanotify_init(0, os.O_RDONLY))
    mask = ctypes.c_uint64(_FAN_OPEN | _FAN_EVENT_ON_CHILD)
    _checked(_c.fanotify_mark(fd, _FAN_MARK_ADD, mask, -100, bytes(folder)))
    return fd


def timerfd() -> tuple[int, Callable[[float], None]]:
    """One that never expires, until its second part is called with seconds."""
    fd = _checked(_c.timerfd_create(1, 0))

    def start(seconds: float) -> None:
        whole, rest = divmod(seconds, 1)
        times = (ctypes.c_long * 4)(0, 0, int(whole), int(rest * 1e9) + 1)
        assert _c.timerfd_settime(fd, 0, times, None) == 0

    return fd, start


def signalfd(number: signal.Signals) -> int:
    """One that is readable when the signal is pending: it must be blocked."""
    mask = (ctypes.c_ulong * 16)()
    mask[0] = 1 << (number - 1)
    return _checked(_c.signalfd(-1, mask, 0))


def message_queue(name: bytes) -> int:
    """A POSIX message queue, whose name is gone already."""
    fd = _checked(_c.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None))
    _c.mq_unlink(name)
    return fd


class UserFault:
    """A userfaultfd in blocking mode over one page of memory, and that page."""

    def __init__(self) -> None:
        number = _USERFAULTFD.get(os.uname().machine)
        if number is None:
            pytest.skip("the number of the system call is not known for this machine")
        self.fd = _checked(_c.syscall(number, 0))
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._page = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        fcntl.ioctl(self.fd, _UFFDIO_API, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))
        fcntl.ioctl(
            self.fd, _UFFDIO_REGISTER, bytearray(struct.pack("QQQQ", self._page, mmap.PAGESIZE, 1, 0))
        )

    def touch(self) -> None:
        """Read from the page: stops the OS thread, without the interpreter's lock, until resolve()."""
        _c.memcmp(ctypes.c_void_p(self._page), ctypes.c_void_p(self._page + 8), ctypes.c_size_t(8))

    def resolve(self) -> None:
        """Give the page its content."""
        fcntl.ioctl(
            self.fd, _UFFDIO_ZEROPAGE, bytearray(struct.pack("QQQq", self._page, mmap.PAGESIZE, 0, 0))
        )
