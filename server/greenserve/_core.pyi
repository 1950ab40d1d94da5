"""The types of the compiled core, whose sources are in server/greenserve/core."""

from collections.abc import Callable
from typing import Any

SEAMS: int

class Head:
    """A RequestHead with its environ."""

    def __getattr__(self, name: str, /) -> Any: ...

class OrdinaryHeads:
    """See wsgi/environ/ordinary.py."""

    is_unknown: bool
    received: int

    def __init__(
        self,
        classes: bytes,
        methods: tuple[str, ...],
        longest: int,
        most_fields: int,
        seed: int,
        fields_of: Callable[[bytes], list[tuple[str, str]]],
    ) -> None: ...
    def take(self, data: bytes, environ: dict[str, Any], peer: str, peer_port: str, /) -> Any: ...
    def receive(self, fd: int, environ: dict[str, Any], peer: str, peer_port: str, /) -> Any: ...
    def learn_field(self, name: str, key: str, kind: int, /) -> None: ...
    def learn_host(self, host: str, /) -> None: ...

def send_now(fd: int, first: bytes | memoryview, second: bytes | memoryview, /) -> int | None: ...
def take_message(data: bytes, at: int, longest: int, /) -> str | bytes | None: ...
def end_of_message(data: bytes, at: int, /) -> int: ...
def make_frame(message: object, longest: int, /) -> bytes | None: ...
def unmask(payload: bytes | bytearray, key: bytes, /) -> bytes: ...
