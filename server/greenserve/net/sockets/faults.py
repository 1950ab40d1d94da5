"""Whether the peer, the machine or this program caused an error of a socket, and how it is logged.

Called by streams and listeners. An error of the peer or the network is logged at debug where the request ends. An error
that this machine's operator can mend is logged as an error, once for each connection that it has ended.
"""

from __future__ import annotations

import errno
import logging
from typing import Final

from greenserve.errors import PeerGone

log = logging.getLogger("greenserve.error")


def _numbers(*names: str) -> frozenset[int]:
    return frozenset(number for name in names if (number := getattr(errno, name, None)) is not None)


# accept(2), tcp(7), ip(7): the peer, or the network between, has ended this one connection. EACCES and EPERM are a
# firewall's.
OF_THE_PEER: Final = _numbers(
    "EACCES",
    "ECONNABORTED",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "EINTR",
    "ENETDOWN",
    "ENETRESET",
    "ENETUNREACH",
    "ENONET",
    "ENOPROTOOPT",
    "ENOTCONN",
    "EOPNOTSUPP",
    "EPERM",
    "EPIPE",
    "EPROTO",
    "ESHUTDOWN",
    "ETIMEDOUT",
)
# No descriptors, no memory, or no watches of epoll's (fs.epoll.max_user_watches) left: it may pass.
OF_THE_MACHINE: Final = _numbers("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ENOSPC")
# The descriptor's number is nobody's, or belongs to something that is no socket.
NOT_OURS: Final = _numbers("EBADF", "ENOTSOCK")

_ADVICE: Final = {
    "EMFILE": "raise `ulimit -n` or lower --limit-connections",
    "ENFILE": "raise fs.file-max or lower --limit-connections",
    "ENOBUFS": "lower --limit-connections or give the machine more memory (net.ipv4.tcp_mem)",
    "ENOMEM": "lower --limit-connections or give the machine more memory (net.ipv4.tcp_mem)",
    "ENOSPC": "raise fs.epoll.max_user_watches or lower --limit-connections",
    "EBADF": "other code of this program has closed its descriptor: look for an os.close() too many",
    "ENOTSOCK": "other code of this program has closed its descriptor: look for an os.close() too many",
}


def advice(error: OSError, otherwise: str) -> str:
    """Return what the operator can do about the error, or `otherwise`."""
    return _ADVICE.get(errno.errorcode.get(error.errno or 0, ""), otherwise)


def gone(error: OSError) -> PeerGone:
    """Return the PeerGone for an error of a stream's socket. Logs an error that the peer has not caused."""
    if error.errno not in OF_THE_PEER:
        log.error(
            "connection lost: %s; %s",
            error.strerror or error,
            advice(error, "other connections are not affected"),
        )
    return PeerGone(str(error))
