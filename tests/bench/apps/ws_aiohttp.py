"""aiohttp, with its parsers in C, on uvloop; /echo and hello: `python -m tests.bench.apps.ws_aiohttp port`."""

import asyncio
import sys

import uvloop
from aiohttp import WSMsgType, web
from tests.bench.apps import hello

LARGEST = 32 << 20


async def echo(request):
    ws = web.WebSocketResponse(max_msg_size=LARGEST)
    await ws.prepare(request)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await ws.send_bytes(message.data)
    return ws


async def plain(request):
    return web.Response(body=hello.BODY, content_type="text/plain")


async def main(port):
    app = web.Application()
    app.add_routes([web.get("/echo", echo), web.get("/", plain)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
