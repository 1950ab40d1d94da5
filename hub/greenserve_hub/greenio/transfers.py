"""Reads and writes of descriptors by number: os.read, os.write and similar, for green threads.

Used by the patched os and by greenio/files.py. greenio/kinds.py says when a call would block. Regular files are always
ready, so they are called at once.

Facts: in blocking mode write(2) waits until everything is written, but poll(2) promises room only for a part: PIPE_BUF
bytes of a pipe (pipe(7)), a piece for a terminal in raw mode, a 1 for an eventfd, no certain number for a socket. A
terminal that turns a line end into two bytes may have room for only one. Consequence: pipes and raw terminals are
written in such pieces, and sockets by send(2), which has a flag not to wait. All other writes run in an OS thread.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from typing import Any, Final, TypeVar

from greenserve_hub.greenio.green_numbers import waits_for_ever
from greenserve_hub.greenio.kinds import (
    READY,
    UNTOLD,
    WAITS,
    can_block,
    can_call,
    held,
    is_always_ready,
    state_of,
)
from greenserve_hub.greenio.selecting import wait_any
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.current import find_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.osthreads.thread_pools import waiting
from greenserve_hub.unpatched import os, select, socket, termios

T = TypeVar("T")

_TERMINAL: Final = 128  # bytes of room in a terminal that is ready: it makes room in pieces of 256
_MULTIPLEXER: Final = (5, 2)  # the device numbers of /dev/ptmx: the master of a pseudo-terminal
_SEND_AT_ONCE: Final = 1 << 18  # bytes of a sendfile before other green threads run
_ONE: Final = (1).to_bytes(8, sys.byteorder)
_NONBLOCK: Final = getattr(socket, "SOCK_NONBLOCK", 0)
_AT_ONCE: Final = getattr(os, "RWF_NOWAIT", 0)
_DONTWAIT: Final = getattr(socket, "MSG_DONTWAIT", 0)


def _when_ready(mask: int, call: Callable[..., T], fd: int, /, *args: Any) -> T:
    """Call `call(fd, *args)` when it does not block."""
    hub = find_hub()
    if hub is None:
        return call(fd, *args)
    state = state_of(fd, mask)
    if state is UNTOLD:
        return waiting.execute(call, fd, *args)
    waits = waits_for_ever(fd)
    if state is READY:
        try:
            return call(fd, *args)
        except BlockingIOError:
            if not waits:
                raise
    poller = select.poll()
    with held(fd) as own:
        poller.register(own, mask)
        while True:
            wait_any(hub, {own: mask}, None)
            if poller.poll(0):  # otherwise another green thread was faster
                with suppress(BlockingIOError) if waits else nullcontext():
                    return call(own, *args)


# Reading ---------------------------------------------------------------------------------------------------


def read(fd: int, length: int, /) -> bytes:
    """Like os.read. Switches: when nothing is there."""
    return _when_ready(select.POLLIN, os.read, fd, length)


def readinto(fd: int, buffer: Any, /) -> int:
    """Like os.readinto of Python 3.14. Switches: when nothing is there."""
    count: int = _when_ready(select.POLLIN, os.readinto, fd, buffer)  # type: ignore[attr-defined]
    return count


def readv(fd: int, buffers: Sequence[Any], /) -> int:
    """Like os.readv. Switches: when nothing is there."""
    return _when_ready(select.POLLIN, os.readv, fd, buffers)


def preadv(fd: int, buffers: Sequence[Any], offset: int, flags: int = 0, /) -> int:
    """Like os.preadv. Switches: when nothing is there and `offset` is -1; other offsets are for files."""
    if offset != -1 or flags & _AT_ONCE:
        return os.preadv(fd, buffers, offset, flags)
    return _when_ready(select.POLLIN, os.preadv, fd, buffers, offset, flags)


def eventfd_read(fd: int) -> int:
    """Like os.eventfd_read. Switches: when the counter is 0."""
    return _when_ready(select.POLLIN, os.eventfd_read, fd)


# Writing ---------------------------------------------------------------------------------------------------


def write(fd: int, data: Any, /) -> int:
    """Like os.write; in blocking mode it writes everything. Switches: when there is no room."""
    hub = find_hub()
    if hub is None or not can_block(fd):
        return os.write(fd, data)
    status = os.fstat(fd)
    mode = status.st_mode
    if is_always_ready(mode, status.st_rdev):
        return os.write(fd, data)
    if stat.S_ISSOCK(mode) and _NONBLOCK:
        return _send(hub, fd, data)
    if stat.S_ISFIFO(mode):
        return _write_pieces(hub, fd, data, select.PIPE_BUF)
    if os.isatty(fd):
        if _expands(fd, status.st_rdev):
            return waiting.execute(os.write, fd, data)
        return _write_pieces(hub, fd, data, _TERMINAL)
    if not stat.S_IFMT(mode) and bytes(data) != _ONE:
        return waiting.execute(os.write, fd, data)  # it may be an eventfd, with less room than this
    return _when_ready(select.POLLOUT, os.write, fd, data)


def _expands(fd: int, device: int) -> bool:
    """Return True if a terminal sends more bytes than are written to it."""
    if (os.major(device), os.minor(device)) == _MULTIPLEXER:
        return False  # its bytes are the input of the other end
    return bool(termios.tcgetattr(fd)[1] & termios.OPOST)


def _write_pieces(hub: Hub, fd: int, data: Any, size: int) -> int:
    with memoryview(data) as view, view.cast("B") as left, ExitStack() as stack:
        total = len(left)
        done = 0
        own = fd
        while True:
            if own == fd and state_of(fd, select.POLLOUT) is WAITS:
                own = stack.enter_context(held(fd))
            can_call(hub, own, select.POLLOUT)
            done += os.write(own, left[done : done + size])
            if done >= total:
                return done


def _send(hub: Hub, fd: int, data: Any) -> int:
    # For an existing descriptor, family and type are neither checked nor changed. SOCK_NONBLOCK keeps Python from
    # setting the mode of the default timeout.
    with held(fd) as own:
        return _send_by(hub, socket.SocketType(socket.AF_UNIX, socket.SOCK_STREAM | _NONBLOCK, 0, own), data)


def _send_by(hub: Hub, sock: socket.SocketType, data: Any) -> int:
    try:
        is_stream = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        with memoryview(data) as view, view.cast("B") as left:
            total = len(left)
            done = 0
            while True:
                try:
                    done += sock.send(left[done:], _DONTWAIT)
                except BlockingIOError:
                    wait_any(hub, {sock.fileno(): select.POLLOUT}, None)
                    continue
                except OSError:
                    if done:
                        return done  # like write(2); the next call raises
                    raise
                if done >= total or not is_stream:
                    return done
    finally:
        sock.detach()


def writev(fd: int, buffers: Sequence[Any], /) -> int:
    """Like os.writev; in blocking mode it writes all buffers. Switches: when there is no room."""
    if _is_plain(fd):
        return os.writev(fd, buffers)
    return write(fd, b"".join(buffers))


def pwritev(fd: int, buffers: Sequence[Any], offset: int, flags: int = 0, /) -> int:
    """Like os.pwritev. Switches: when there is no room and `offset` is -1; other offsets are for files."""
    if offset != -1 or flags or _is_plain(fd):
        return os.pwritev(fd, buffers, offset, flags)
    return write(fd, b"".join(buffers))


def eventfd_write(fd: int, value: int) -> None:
    """Like os.eventfd_write. Switches: when the counter would be too large."""
    if value != 1 and find_hub() is not None and os.get_blocking(fd):
        waiting.execute(os.eventfd_write, fd, value)
    else:
        _when_ready(select.POLLOUT, os.eventfd_write, fd, value)


def _is_plain(fd: int) -> bool:
    """Return True if the native call can write to it."""
    if find_hub() is None or not can_block(fd):
        return True
    status = os.fstat(fd)
    return is_always_ready(status.st_mode, status.st_rdev)


# From one to another ---------------------------------------------------------------------------------------


def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int, *rest: Any, **more: Any) -> int:
    """Like os.sendfile; to a green socket it sends everything. Switches: when there is no room."""
    if rest or more or _is_plain(out_fd):
        return os.sendfile(out_fd, in_fd, offset, count, *rest, **more)
    hub = find_hub()
    assert hub is not None
    if not waits_for_ever(out_fd):
        if stat.S_ISFIFO(os.fstat(out_fd).st_mode):
            # For a pipe the kernel waits for some room, and then sends as much as fits.
            return _when_ready(select.POLLOUT, os.sendfile, out_fd, in_fd, offset, count)
        return waiting.execute(os.sendfile, out_fd, in_fd, offset, count)
    total = 0
    while True:
        start = None if offset is None else offset + total
        try:
            sent = os.sendfile(out_fd, in_fd, start, min(count - total, _SEND_AT_ONCE))
        except BlockingIOError:
            can_call(hub, out_fd, select.POLLOUT)
            continue
        except OSError:
            if total:
                return total
            raise
        total += sent
        if not sent or total >= count:
            return total
        sleep()


def splice(
    src: int,
    dst: int,
    count: int,
    offset_src: int | None = None,
    offset_dst: int | None = None,
    flags: int = 0,
) -> int:
    """Like os.splice. Switches: when there is no data or no room."""
    hub = find_hub()
    ask = (src, dst, count, offset_src, offset_dst)
    if hub is None or flags & os.SPLICE_F_NONBLOCK:
        return os.splice(*ask, flags)
    blocking = can_block(src) and can_block(dst)
    while True:
        told = can_call(hub, src, select.POLLIN) and can_call(hub, dst, select.POLLOUT)
        if not told or (stat.S_ISSOCK(os.fstat(dst).st_mode) and os.get_blocking(dst)):
            return waiting.execute(os.splice, *ask, flags)  # SPLICE_F_NONBLOCK applies only to pipes
        try:
            return os.splice(*ask, flags | os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            if not blocking:
                raise
        sleep()
