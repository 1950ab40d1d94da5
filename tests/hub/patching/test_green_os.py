"""os in a patched program."""

from __future__ import annotations

import os

import pytest
from tests.support.patched import run


@pytest.mark.skipif(not hasattr(os, "readinto"), reason="Python 3.14 has it")
def test_reading_into_a_buffer_waits_green():
    said = run(
        """
        import os, threading, time
        reader, writer = os.pipe()
        threading.Thread(target=lambda: (time.sleep(0.001), os.write(writer, b"abcdef"))).start()
        buffer = bytearray(4)
        print(os.readinto(reader, buffer), bytes(buffer))
        print(os.readinto(reader, memoryview(buffer)[1:]), bytes(buffer))
        os.close(writer)
        print(os.readinto(reader, buffer))
        """
    )
    assert said.splitlines() == ["4 b'abcd'", "2 b'aefd'", "0"]
