"""Interim responses, 100 Continue and 103 Early Hints: heads that may come before the final one.

Sans-IO. wsgi/ sends them, to HTTP/1.1 only (RFC 9110 §15.2). The app's fields are checked like those of any response.
Fields about framing or the connection are refused: only the final response decides these.
"""

from __future__ import annotations

from typing import Final

from greenserve.errors import AppError
from greenserve.http1.app_heads import check_fields

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def continue_head(fields: list[tuple[str, str]]) -> bytes:
    """A 100 Continue with the app's own fields (RFC 9110 §15.2.1). Raises AppError as check_head does."""
    return _interim_head("100 Continue", fields)


def hints_head(fields: list[tuple[str, str]]) -> bytes:
    """A 103 Early Hints with the app's fields (RFC 8297 §2). Raises AppError as check_head does."""
    return _interim_head("103 Early Hints", fields)


def _interim_head(status: str, fields: list[tuple[str, str]]) -> bytes:
    head = check_fields(f"HTTP/1.1 {status}\r\n", fields)
    if head.length is not None:
        raise AppError(f"Content-Length in a {status} (RFC 9110 §8.6)")
    if head.connection is not None:
        raise AppError(f"Connection in a {status}: it is the server's to send (PEP 3333, RFC 9110 §7.6.1)")
    return head.data + b"\r\n"
