"""The echo as an ASGI app, which uvicorn serves; plain requests get the hello body."""

from tests.bench.apps import hello

HEAD = [(name.lower().encode(), value.encode()) for name, value in hello.HEAD]


async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEAD})
        await send({"type": "http.response.body", "body": hello.BODY})
        return
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
