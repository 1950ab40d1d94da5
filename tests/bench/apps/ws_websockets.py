"""websockets (asyncio) on uvloop, by path as in ws_greenserve.py: `python -m tests.bench.apps.ws_websockets port`."""

import asyncio
import sys
from http import HTTPStatus

import uvloop
from tests.bench.apps import hello
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

MEMBERS = set()
LARGEST = 32 << 20


async def handler(ws):
    path = ws.request.path
    if path == "/room":
        MEMBERS.add(ws)
    try:
        async for message in ws:
            if path == "/echo":
                await ws.send(message)
            elif path == "/announce":
                broadcast(MEMBERS, message)
    except ConnectionClosed:
        pass
    finally:
        MEMBERS.discard(ws)


def plain(connection, request):
    if "Upgrade" not in request.headers:
        return connection.respond(HTTPStatus.OK, hello.BODY.decode())
    return None


async def main(port):
    async with serve(handler, "127.0.0.1", port, max_size=LARGEST, backlog=2048, process_request=plain):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
