"""picows, a WebSocket library in Cython, on uvloop: `python -m tests.bench.apps.ws_picows port`. Its API is a callback.

It gives frames and not messages, does not check UTF-8 and has no compression of its own: the least that there is to do.
"""

import sys

import uvloop
from picows import WSListener, ws_create_server


class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        transport.send(frame.msg_type, frame.get_payload_as_memoryview())


async def main(port):
    server = await ws_create_server(lambda request: Echo(), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
