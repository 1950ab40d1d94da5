"""Reading and writing descriptors by number: os.read and its kin, for green threads.

What a patched os is made of, and what greenio/files.py reads and writes through. greenio/kinds.py says when a call
would block. Regular files are always ready: what is asked of them is asked at once.

Facts: in blocking mode write(2) waits until all of it is taken, and poll(2) promises room for some only: for PIPE_BUF
bytes of a pipe (pipe(7)), for a piece of a terminal that puts out bytes as they are, for a 1 of an eventfd, for no
certain number of a socket. Where a terminal makes two bytes of a line's end, there may be room for one. Consequence:
a pipe and a terminal are written to in such pieces, and a socket by send(2), which can be told not to wait. What can be
done in no such way is done in an OS thread.
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

_TERMINAL: Final = (
    128  # bytes that a terminal has room for when poll(2) says so: it makes room in pieces of 256
)
_MULTIPLEXER: Final = (5, 2)  # /dev/ptmx, by its numbers: a pseudo-terminal's master
_SEND_AT_ONCE: Final = 1 << 18  # bytes of a sendfile between two turns of the others
_ONE: Final = (1).to_bytes(8, sys.byteorder)
_NONBLOCK: Final = getattr(socket, "SOCK_NONBLOCK", 0)
_AT_ONCE: Final = getattr(os, "RWF_NOWAIT", 0)
_DONTWAIT: Final = getattr(socket, "MSG_DONTWAIT", 0)


def _when_ready(mask: int, call: Callable[..., T], fd: int, /, *args: Any) -> T:
    """Make `call(fd, *args)` when it can't block."""
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
            if poller.poll(0):  # else another was faster
                with suppress(BlockingIOError) if waits else nullcontext():
                    return call(own, *args)


# Reading ---------------------------------------------------------------------------------------------------


def read(fd: int, length: int, /) -> bytes:
    """As os.read. Switches: when nothing is there."""
    return _when_ready(select.POLLIN, os.read, fd, length)


def readinto(fd: int, buffer: Any, /) -> int:
    """As os.readinto of Python 3.14. Switches: when nothing is there."""
    count: int = _when_ready(select.POLLIN, os.readinto, fd, buffer)  # type: ignore[attr-defined]
    return count


def readv(fd: int, buffers: Sequence[Any], /) -> int:
    """As os.readv. Switches: when nothing is there."""
    return _when_ready(select.POLLIN, os.readv, fd, buffers)


def preadv(fd: int, buffers: Sequence[Any], offset: int, flags: int = 0, /) -> int:
    """As os.preadv. Switches: when nothing is there, and `offset` is -1: elsewhere it is a file's."""
    if offset != -1 or flags & _AT_ONCE:
        return os.preadv(fd, buffers, offset, flags)
    return _when_ready(select.POLLIN, os.preadv, fd, buffers, offset, flags)


def eventfd_read(fd: int) -> int:
    """As os.eventfd_read. Switches: when the counter is 0."""
    return _when_ready(select.POLLIN, os.eventfd_read, fd)


# Writing ---------------------------------------------------------------------------------------------------


def write(fd: int, data: Any, /) -> int:
    """As os.write; in blocking mode all of it. Switches: when there is no room."""
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
    """Return True if a terminal puts out more than it is sent."""
    if (os.major(device), os.minor(device)) == _MULTIPLEXER:
        return False  # what it is sent is the other end's input
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
    # Neither family nor type are asked about, or changed, for a descriptor that is there; SOCK_NONBLOCK keeps Python
    # from setting the default timeout's mode.
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
                        return done  # as write(2) does; the next one is told
                    raise
                if done >= total or not is_stream:
                    return done
    finally:
        sock.detach()


def writev(fd: int, buffers: Sequence[Any], /) -> int:
    """As os.writev; in blocking mode all of them. Switches: when there is no room."""
    if _is_plain(fd):
        return os.writev(fd, buffers)
    return write(fd, b"".join(buffers))


def pwritev(fd: int, buffers: Sequence[Any], offset: int, flags: int = 0, /) -> int:
    """As os.pwritev. Switches: when there is no room, and `offset` is -1: elsewhere it is a file's."""
    if offset != -1 or flags or _is_plain(fd):
        return os.pwritev(fd, buffers, offset, flags)
    return write(fd, b"".join(buffers))


def eventfd_write(fd: int, value: int) -> None:
    """As os.eventfd_write. Switches: when the counter would be too large."""
    if value != 1 and find_hub() is not None and os.get_blocking(fd):
        waiting.execute(os.eventfd_write, fd, value)
    else:
        _when_ready(select.POLLOUT, os.eventfd_write, fd, value)


def _is_plain(fd: int) -> bool:
    """Return True if writing to it is the standard's own matter."""
    if find_hub() is None or not can_block(fd):
        return True
    status = os.fstat(fd)
    return is_always_ready(status.st_mode, status.st_rdev)


# From one to another ---------------------------------------------------------------------------------------


def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int, *rest: Any, **more: Any) -> int:
    """As os.sendfile; to a green socket all of it. Switches: when there is no room."""
    if rest or more or _is_plain(out_fd):
        return os.sendfile(out_fd, in_fd, offset, count, *rest, **more)
    hub = find_hub()
    assert hub is not None
    if not waits_for_ever(out_fd):
        if stat.S_ISFIFO(os.fstat(out_fd).st_mode):
            # Of a pipe the kernel waits for some room only, and then sends what there is room for.
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
    """As os.splice. Switches: when nothing is there, or no room."""
    hub = find_hub()
    ask = (src, dst, count, offset_src, offset_dst)
    if hub is None or flags & os.SPLICE_F_NONBLOCK:
        return os.splice(*ask, flags)
    blocking = can_block(src) and can_block(dst)
    while True:
        told = can_call(hub, src, select.POLLIN) and can_call(hub, dst, select.POLLOUT)
        if not told or (stat.S_ISSOCK(os.fstat(dst).st_mode) and os.get_blocking(dst)):
            return waiting.execute(os.splice, *ask, flags)  # the flag is for pipes
        try:
            return os.splice(*ask, flags | os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            if not blocking:
                raise
        sleep()
