"""A real socket whose calls fail as a plan says: any call, at its n-th time, with any errno, in part, or not yet.

The code under test is handed the socket and is not changed; os.sendfile and the
compiled core's calls, which are no methods, have seams in Stream.
After each EAGAIN and each transfer in part the plan tells the hub what the kernel would: that the descriptor is ready
again, in the next turn. EINTR is not to be had here: since PEP 475 no call of CPython's lets it out.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenserve.core import core
from greenserve.net.sockets.stream import HEAD_SIZE, HeadReceiver, Stream
from greenserve_hub.loop.current import get_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.pollers.contract import READ, WRITE


@dataclass(frozen=True)
class Fault:
    """What becomes of one call: an error, or at most `size` bytes; neither: nothing happens to it."""

    number: int = 0
    size: int | None = None

    def __str__(self) -> str:
        return errno.errorcode[self.number] if self.number else f"{self.size} bytes"


FINE = Fault()
Decide = Callable[[str, int], Fault]


@dataclass
class Plan:
    """Which call goes wrong: asked before each one with its name and its number, from 0, among all of a socket."""

    decide: Decide = lambda call, number: FINE
    calls: list[str] = field(default_factory=list)  # what was called so far
    struck: list[str] = field(default_factory=list)  # of these, what went wrong
    begun: int = 0  # how many calls came before the life

    def next(self, call: str) -> Fault:
        fault = self.decide(call, len(self.calls))
        self.calls.append(call)
        if fault is not FINE:
            self.struck.append(call)
        return fault


def at(place: int, fault: Fault) -> Decide:
    """Only the call of this number."""
    return lambda call, number: fault if number == place else FINE


def from_on(place: int, fault: Fault) -> Decide:
    """This call and all after it that move bytes."""
    return lambda call, number: fault if number >= place and call in MOVING else FINE


def always(fault: Fault) -> Decide:
    """Every call that moves bytes."""
    return lambda call, number: fault if call in MOVING else FINE


MOVING = ("recv", "send", "sendmsg", "sendfile")


class FaultySocket(socket.socket):
    """A connected or listening socket under a plan."""

    plan: Plan

    @classmethod
    def around(cls, sock: socket.socket, plan: Plan) -> FaultySocket:
        """Takes `sock` over, and has it not block."""
        faulty = cls(sock.family, sock.type, sock.proto, fileno=sock.detach())
        socket.socket.setblocking(faulty, False)
        faulty.plan = plan
        return faulty

    def _ask(self, call: str) -> Fault:
        fault = self.plan.next(call)
        if fault.number:
            self._fail(fault.number)
        return fault

    def _fail(self, number: int) -> None:
        if number == errno.EAGAIN:
            self._tell_ready()
        elif number == errno.EBADF and self.fileno() >= 0:
            os.close(self.fileno())  # or the socket would not be as the error says
        raise OSError(number, os.strerror(number))

    def _tell_ready(self) -> None:
        hub = get_hub()
        hub.call_soon(_tell, hub, self.fileno())

    # What moves bytes ---------------------------------------------------------------------------------

    def recv(self, size: int, flags: int = 0) -> bytes:  # type: ignore[override]
        fault = self._ask("peek" if flags & socket.MSG_PEEK else "recv")
        if fault.size is None:
            return super().recv(size, flags)
        data = super().recv(min(size, fault.size), flags)
        self._tell_ready()
        return data

    def recv_at_most(self, size: int) -> bytes | None:
        """What a planned fault lets come; None if there is none."""
        fault = self._ask("recv")
        if fault.size is None:
            return None
        data = super().recv(min(size, fault.size))
        self._tell_ready()
        return data

    def send_now(self, fd: int, first: Any, second: Any) -> int | None:
        """The compiled core's send_now()."""
        fault = self._ask("sendmsg" if second else "send")
        if fault.size is None:
            return core.send_now(fd, first, second)  # type: ignore[union-attr]
        return self._in_part(fault, memoryview(bytes(first) + bytes(second)), super().send)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:  # type: ignore[override]
        data = self.recv(nbytes or len(buffer), flags)
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: Any, flags: int = 0) -> int:  # type: ignore[override]
        return self._in_part(self._ask("send"), memoryview(data), super().send)

    def sendmsg(self, buffers: Any, *args: Any) -> int:
        fault = self._ask("sendmsg")
        if fault.size is None:
            return super().sendmsg(buffers, *args)
        return self._in_part(fault, memoryview(b"".join(buffers)), super().send)

    def _in_part(self, fault: Fault, data: memoryview, send: Callable[[memoryview], int]) -> int:
        if fault.size is None:
            return send(data)
        sent = send(data[: fault.size]) if fault.size else 0
        self._tell_ready()
        return sent

    def sendfile_at(self, out: int, source: int, offset: int, count: int) -> int:
        """In the place of os.sendfile."""
        fault = self._ask("sendfile")
        return os.sendfile(out, source, offset, count if fault.size is None else min(count, fault.size))

    # What does not --------------------------------------------------------------------------------------

    def _accept(self) -> Any:
        self._ask("accept")
        return super()._accept()  # type: ignore[misc]

    def shutdown(self, how: int) -> None:
        self._ask("shutdown")
        super().shutdown(how)

    def setsockopt(self, *args: Any) -> None:  # type: ignore[override]
        self._ask("setsockopt")
        super().setsockopt(*args)

    def setblocking(self, flag: bool) -> None:
        self._ask("setblocking")
        super().setblocking(flag)

    def getsockname(self) -> Any:
        self._ask("getsockname")
        return super().getsockname()

    def getpeername(self) -> Any:
        self._ask("getpeername")
        return super().getpeername()

    def close(self) -> None:
        fault = self.plan.next("close")
        super().close()  # close(2): the number is free whatever the call returns
        if fault.number:
            raise OSError(fault.number, os.strerror(fault.number))


class FaultyStream(Stream):
    """A Stream whose calls that are no methods of its socket are under the plan too."""

    __slots__ = ("_send_now", "_sendfile", "sock")

    sock: FaultySocket

    def __init__(self, hub: Hub, sock: FaultySocket) -> None:
        super().__init__(hub, sock)
        self._sendfile = sock.sendfile_at  # type: ignore[misc]
        self._send_now = None if core is None else sock.send_now

    def receive_head(self, ordinary: HeadReceiver, *arguments: Any) -> Any:
        return super().receive_head(_FaultyReceiver(ordinary, self.sock), *arguments)


class _FaultyReceiver:
    """The compiled core's receive(), under the plan of a socket."""

    def __init__(self, ordinary: HeadReceiver, sock: FaultySocket) -> None:
        self._ordinary = ordinary
        self._sock = sock
        self.received = 0

    def receive(self, fd: int, *arguments: Any) -> Any:
        data = self._sock.recv_at_most(HEAD_SIZE)
        if data is None:
            found = self._ordinary.receive(fd, *arguments)
            self.received = self._ordinary.received
            return found
        self.received = len(data)
        return data


def _tell(hub: Hub, fd: int) -> None:
    if fd in hub.descriptors:
        hub.hand_out([(fd, READ | WRITE)])
