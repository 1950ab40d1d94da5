"""fragmented: what wsproto asks of our extension, and when wsproto is imported. Messages: tests of the reader."""

from __future__ import annotations

import subprocess
import sys

from wsproto.frame_protocol import CloseReason, FrameDecoder, Opcode, RsvBits

from greenserve.websocket import Deflate
from greenserve.websocket.framing.fragmented import Inflating


def test_6_rsv1_on_other_frames_than_the_first_of_a_message() -> None:
    extension, decoder = Inflating(Deflate()), FrameDecoder(client=False)
    assert extension.enabled()
    assert not extension.offer()
    for opcode in (Opcode.CONTINUATION, Opcode.CLOSE, Opcode.PING, Opcode.PONG):
        answer = extension.frame_inbound_header(decoder, opcode, RsvBits(True, False, False), 0)
        assert answer is CloseReason.PROTOCOL_ERROR
    extension.frame_inbound_header(decoder, Opcode.TEXT, RsvBits(True, False, False), 3)
    extension.frame_inbound_header(decoder, Opcode.PING, RsvBits(False, False, False), 3)
    assert extension.frame_inbound_payload_data(decoder, b"abc") == b"abc"
    assert extension.frame_inbound_complete(decoder, True) is None


def test_wsproto_is_imported_at_the_first_fragment() -> None:
    script = """
import sys
import greenserve.cli, greenserve.process.single
from greenserve.websocket import MessageReader, ReadLimits
reader = MessageReader(ReadLimits(0, 0, 0))
print(reader.feed(bytes.fromhex("8182 00000000 6162")), "wsproto" in sys.modules)
fragment = reader.feed(bytes.fromhex("0181 00000000 61 8081 00000000 62"))
print(type(fragment).__name__, reader.next(), "wsproto" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "ab False\nFragment ab True\n"
