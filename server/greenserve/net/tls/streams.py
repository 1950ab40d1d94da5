"""A Stream that speaks TLS: OpenSSL on two pieces of memory, and the socket in our own hands.

No SSLSocket: the socket keeps Stream's rule of short reads, what was received before TLS began can be fed in, an answer
of several records goes out in one call, and the closing alert is sent when we say so.

Facts: bytes may be here that no edge of the descriptor will tell of, undecrypted or decrypted. What was
encrypted has to be sent as it is: TLS numbers its records, so none can be taken back or made twice. Consequence: the
question whether there is something to read goes to this class, and a piece that the kernel took in part counts as not
sent at all until its last byte is out, while the caller offers it again.

Invariants: no byte is taken from the socket while something is left to decrypt, and at most one piece is encrypted
ahead of the kernel, so that memory is bounded whatever the peer does. Every error of TLS is a PeerGone.
"""

from __future__ import annotations

import contextlib
import errno
import ssl
from collections.abc import Callable
from typing import Final

from greenserve.errors import PeerGone
from greenserve.net.sockets.stream import Stream, Wait
from greenserve_hub.greenthreads.greenthreads import sleep
from greenserve_hub.loop.readiness import wait_for_more

# A connection keeps the memory of the largest that it had: one record, with what encryption adds to it.
_PIECE: Final = 16 * 1024  # bytes encrypted at once (RFC 8446 §5.1: the largest record)
_READ: Final = _PIECE + 1024  # bytes taken from the socket at once
_AT_ONCE: Final = (
    1 << 20
)  # bytes sent without giving way: a fast reader of a long response would hold the hub
# Bytes of TLS's own that a peer may have us answer with and not read; a few hundred are honest.
_UNREAD_ANSWERS: Final = 16 * 1024

# Bytes read in a turn of which nothing comes out. The largest record is a quarter of it; more is TLS's own, new keys
# without end say, which would be read for as long as they come.
_FRUITLESS: Final = 64 * 1024

_nothing: Final = memoryview(b"")


class TLSStream(Stream):
    """A Stream after TLS has begun. Takes the place of the Stream that it is made of."""

    __slots__ = ("_counted", "_ended", "_incoming", "_outgoing", "_resets", "_tls", "_unsent", "server_name")

    def __init__(
        self, stream: Stream, context: ssl.SSLContext, ahead: bytes = b"", server_name: str = ""
    ) -> None:
        """`ahead` is what `stream` has received already; `stream` is not to be used any more.

        `server_name` is the one that the client has asked for.
        """
        self.server_name = server_name
        self.sock = stream.sock
        self.descriptor = stream.descriptor
        self._short_is_all = stream._short_is_all
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # None when TLS is over: what still comes is of no use to anybody, and is not decrypted.
        self._tls: ssl.SSLObject | None = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent = _nothing  # encrypted, and not taken by the kernel yet
        self._counted = 0  # bytes of the caller's that are encrypted in `_unsent`
        self._ended = False  # the peer has closed TLS, if not the socket
        self._resets = False
        self._incoming.write(ahead)

    @property
    def tls(self) -> ssl.SSLObject:
        """The session, while it lasts."""
        assert self._tls is not None
        return self._tls

    # The handshake ------------------------------------------------------------------------------------

    def shake_hands(self) -> bool:
        """Go on with the handshake. Return True if it is done. Switches: never. Raises PeerGone."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                try:
                    data = super().receive_now(_READ)
                except BlockingIOError:
                    return False
                if not data:
                    raise PeerGone("closed in the middle of the handshake") from None
                self._incoming.write(data)
            except OSError as error:
                raise self._failed(error) from None
            else:
                self._flush()
                return not self._unsent

    @property
    def has_unsent(self) -> bool:
        """Return True if the kernel has to take more before anything else can be sent."""
        return bool(self._unsent)

    def _failed(self, error: OSError) -> PeerGone:
        """Tell the peer why, where OpenSSL has made an alert of it, and be done with TLS."""
        if self._tls is not None:
            with contextlib.suppress(PeerGone):
                self._flush()
            self._tls = None
            self._unsent = _nothing
        return PeerGone(f"TLS: {getattr(error, 'reason', None) or error}")

    def _flush(self) -> bool:
        """Send what OpenSSL has made. Return True if the kernel has taken all of it. Raises PeerGone."""
        made = self._outgoing.read() if self._outgoing.pending else b""
        if self._unsent:
            made = b"".join((self._unsent, made))
        elif not made:
            return True
        try:
            sent = super().send_now(made)
        except PeerGone:
            self._unsent = memoryview(made)  # a record left out would make all that follow it unreadable
            raise
        self._unsent = _nothing if sent == len(made) else memoryview(made)[sent:]
        return not self._unsent

    # From hub callbacks --------------------------------------------------------------------------------

    def receive_now(self, size: int) -> bytes:
        """As Stream's, of what the records held. After shut_sending() it is what came, of use to nobody."""
        tls = self._tls
        if tls is None:
            return super().receive_now(size)
        if self._ended:
            return b""
        try:
            if self._incoming.pending or tls.pending():
                # Rarely: a read below takes a record as a rule, and a client sends one.
                try:
                    return self._decrypt(tls, size)
                except ssl.SSLWantReadError:
                    pass
            fruitless = 0
            while fruitless < _FRUITLESS:
                data = super().receive_now(_READ)
                if not data:
                    return b""  # without a closing alert as well: HTTP says itself where its messages end
                self._incoming.write(data)
                try:
                    return self._decrypt(tls, size)
                except ssl.SSLWantReadError:
                    if not self.descriptor.readable:
                        raise BlockingIOError(errno.EAGAIN, "part of a record") from None
                fruitless += len(data)
            raise PeerGone("the client sends records without content")
        except (PeerGone, BlockingIOError):
            raise
        except OSError as error:
            raise self._failed(error) from None

    def _decrypt(self, tls: ssl.SSLObject, size: int) -> bytes:
        data = b""
        try:
            data = tls.read(size)
        except ssl.SSLZeroReturnError:
            pass
        finally:
            if self._outgoing.pending:
                self._answer()
        if not data:
            self._ended = True  # no edge will tell of it again
        return data

    def _answer(self) -> None:
        """Send what TLS itself has to say to what was read, a new key say."""
        self._flush()
        if len(self._unsent) > _PIECE + _UNREAD_ANSWERS:
            raise PeerGone("the client asks TLS for new keys and takes none")

    @property
    def _has_more(self) -> bool:
        """Return True if a read can find something without the socket."""
        tls = self._tls
        return tls is not None and bool(self._ended or self._incoming.pending or tls.pending())

    def when_readable(self, callback: Callable[[], object]) -> None:
        """As Stream's."""
        if self._has_more:
            self.descriptor.hub.call_soon(callback)
        else:
            super().when_readable(callback)

    def when_writable(self, callback: Callable[[], object]) -> None:
        """As Stream's; send_now may have stopped while the kernel would have taken more."""
        if self._unsent:
            super().when_writable(callback)
        else:
            self.descriptor.hub.call_soon(callback)

    def send_now(self, first: bytes | memoryview, second: bytes | memoryview = b"") -> int:
        """As Stream's. A piece counts when the kernel has all of it: the caller goes on with exactly the rest."""
        tls = self._tls
        if tls is None:
            raise PeerGone("TLS is over")
        if self._unsent and not self._flush():
            return 0
        sent, self._counted = self._counted, 0  # what waited may have gone out with an answer of TLS's own
        size = len(first)
        end = min(size + len(second), _AT_ONCE)
        try:
            while sent < end:
                stop = sent + _PIECE
                if sent >= size:
                    piece = second[sent - size : stop - size]
                elif stop <= size or not second:
                    piece = first[sent:stop] if sent or stop < size else first
                else:
                    piece = b"".join((first[sent:], second[: stop - size]))  # a head and its body: one record
                count = tls.write(piece)  # all of it as a rule; it may be fewer
                if not self._flush():
                    self._counted = count
                    break
                sent += count
        except PeerGone:
            raise
        except OSError as error:
            raise self._failed(error) from None
        return sent

    # From green threads -----------------------------------------------------------------------------------

    def receive(self, size: int, wait: Wait) -> bytes:
        """As Stream's. Only a whole record is progress, and not its bytes one by one."""
        while True:
            if self.descriptor.readable or self._has_more:
                with contextlib.suppress(BlockingIOError):
                    return self.receive_now(size)
            wait(wait_for_more)

    def send_file(self, fd: int, offset: int, count: int, wait: Wait) -> int:
        """Not to be had: the kernel does not encrypt. Raises OSError, as Stream's for what cannot be sent so."""
        raise OSError(errno.EOPNOTSUPP, "no sendfile(2) with TLS")

    def _wait_to_send(self, wait: Wait) -> None:
        if self._unsent:
            super()._wait_to_send(wait)
        else:
            sleep(0)

    # Both ------------------------------------------------------------------------------------------------

    def is_peer_gone(self) -> bool:
        """As Stream's; a peer that has closed TLS has gone."""
        return self._ended or super().is_peer_gone()

    def has_unread(self) -> bool:
        """As Stream's; a closing alert counts."""
        return not self._ended and (self._has_more or super().has_unread())

    def shut_sending(self) -> None:
        """As Stream's, with TLS's closing alert before it (RFC 8446 §6.1). Nothing is decrypted any more."""
        self._end()
        super().shut_sending()

    def reset_on_close(self) -> None:
        """As Stream's. There will be no closing alert: the peer must not take what it has for the whole."""
        self._resets = True
        super().reset_on_close()

    def close(self) -> None:
        """As Stream's, with TLS's closing alert, as far as the kernel takes it."""
        if not self._resets:
            self._end()
        self._tls = None
        super().close()

    def _end(self) -> None:
        tls, self._tls = self._tls, None
        if tls is None or self.descriptor.closed:
            return
        with contextlib.suppress(
            OSError, ValueError
        ):  # the peer has not closed yet, or there was no session yet
            tls.unwrap()
        with contextlib.suppress(PeerGone):
            self._flush()
        self._unsent = _nothing
