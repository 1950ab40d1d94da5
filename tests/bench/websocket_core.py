"""What the WebSocket core costs, without a socket: `PYTHONPATH=. python -m tests.bench.websocket_core`.

Best of nine, in microseconds, for server/greenserve/websocket/README.md.
"""

from __future__ import annotations

import os
import timeit
from collections.abc import Callable

from tests.support.protocols.frames import BINARY, LIMITS, PING, TEXT, deflated, fragments, frame
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from greenserve.websocket import Deflate, MessageReader, encode_message

JSON = '{"user":"alice","text":"hello there, how are you","at":1700000000}' * 8


def show(name: str, call: Callable[[], object], times: int, each: int = 1) -> None:
    best = min(timeit.repeat(call, number=times, repeat=9)) / times / each
    print(f"{name:48}{best * 1e6:10.2f} us")


def main() -> None:
    reader = MessageReader(LIMITS)
    for size in (16, 128, 1024, 4096, 65536, 1 << 20):
        times = max(20, 200_000 // (size // 40 + 5))
        data, text = frame(BINARY, os.urandom(size)), frame(TEXT, b"x" * size)
        show(f"take binary, {size}", lambda data=data: reader.feed(data), times)
        show(f"take text, {size}", lambda text=text: reader.feed(text), times)
        show(f"make text, {size}", lambda message="x" * size: encode_message(message), times)
    for kind, opcode in (("binary", BINARY), ("text", TEXT)):
        long = frame(opcode, b"x" * 65536)
        pieces = [long[place : place + 16384] for place in range(0, len(long), 16384)]
        show(
            f"take {kind}, 65536, in pieces", lambda pieces=pieces: [reader.feed(one) for one in pieces], 300
        )
    pieces = fragments(TEXT, b"x" * 64, b"x" * 64)
    show("take text, 128, in two fragments", lambda: [reader.feed(one) for one in pieces], 3000)
    ping = frame(PING, b"12345678")
    show("take a ping", lambda: reader.feed(ping), 20_000)
    message = frame(TEXT, b"x" * 128)
    show("take text, 128, each of 480", lambda: drain(reader, message * 480), 50, 480)
    connection = Connection(ConnectionType.SERVER)

    def by_wsproto() -> None:
        connection.receive_data(message)
        list(connection.events())

    show("take text, 128, wsproto alone", by_wsproto, 5000)
    show("make text, 128, wsproto alone", lambda: connection.send(TextMessage("x" * 128)), 5000)
    deflate = Deflate(server_max_window_bits=12)
    show(f"make compressed text, {len(JSON)}", lambda: encode_message(JSON, deflate), 3000)
    reader = MessageReader(LIMITS, deflate)
    compressed = frame(TEXT, deflated(JSON.encode()), rsv=4)
    show(f"take compressed text, {len(JSON)}", lambda: reader.feed(compressed), 3000)


def drain(reader: MessageReader, data: bytes) -> None:
    event = reader.feed(data)
    while event is not None:
        event = reader.next()


if __name__ == "__main__":
    main()
