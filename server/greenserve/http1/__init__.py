"""HTTP/1 as a sans-IO core: bytes in, heads and bodies out, and the reverse.

It speaks 1.0 and 1.1. Imports no socket, clock, hub or os; time and limits are arguments. net/ feeds it, wsgi/ uses its
results. After a ProtocolError nothing more may be fed: it is unknown where the next request begins.

`__all__` is the whole surface that net/ and wsgi/ call, so that C can stand behind it. Every request calls three of the
functions: read_whole_head, check_head and response_head.
"""

from greenserve.http1.app_heads import AppHead, check_head
from greenserve.http1.bodies import BodyFraming, ChunkedFraming, LengthFraming, chunk
from greenserve.http1.head_reader import HeadReader, read_whole_head
from greenserve.http1.heads import HeadLimits, Meaning, RequestHead, fields_of, meaning_of
from greenserve.http1.interim import CONTINUE, continue_head, hints_head
from greenserve.http1.responses import ResponseHead, encode_error, response_head, with_field
from greenserve.http1.targets import check_authority, target_characters

__all__ = [
    "CONTINUE",
    "AppHead",
    "BodyFraming",
    "ChunkedFraming",
    "HeadLimits",
    "HeadReader",
    "LengthFraming",
    "Meaning",
    "RequestHead",
    "ResponseHead",
    "check_authority",
    "check_head",
    "chunk",
    "continue_head",
    "encode_error",
    "fields_of",
    "hints_head",
    "meaning_of",
    "read_whole_head",
    "response_head",
    "target_characters",
    "with_field",
]
