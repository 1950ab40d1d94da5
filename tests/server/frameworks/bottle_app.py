"""Bottle: uploads, streams, ranges and cookies as its users write them."""

from __future__ import annotations

from typing import Any

import bottle
from bottle import request, response
from tests.server.frameworks.probes import Probe, digest

from greenserve import HandshakeError, accept_websocket


def make(probe: Probe) -> Any:  # noqa: C901  # many views, each simple
    app = bottle.Bottle()

    @app.post("/upload")
    def upload() -> dict[str, Any]:
        file = request.files.file
        return {"name": file.raw_filename, "note": request.forms.note, **digest(file.file.read)}

    @app.post("/raw")
    def raw() -> dict[str, Any]:
        return digest(request.body.read)

    @app.post("/form")
    def form() -> dict[str, Any]:
        forms = request.forms.decode()
        return {"a": forms.getall("a"), "b": forms.b}

    @app.get("/stream")
    def stream() -> Any:
        response.content_type = "text/plain"
        return probe.stream()

    @app.get("/endless")
    def endless() -> Any:
        response.content_type = "text/plain"
        return probe.endless()

    @app.get("/file")
    def file() -> Any:
        return bottle.static_file(probe.path.name, str(probe.path.parent))

    @app.get("/set-cookies")
    def set_cookies() -> str:
        response.set_cookie("a", "1")
        response.set_cookie("b", "2", path="/", httponly=True, max_age=60)
        response.set_cookie("c", "x-y")
        return "set"

    @app.get("/cookies")
    def cookies() -> dict[str, str]:
        return dict(request.cookies)

    @app.get("/echo/<rest:path>")
    def echo(rest: str) -> dict[str, Any]:
        return {"path": rest, "q": request.query.q}

    @app.get("/old")
    def old() -> None:
        bottle.redirect("/echo/new?q=1", 302)

    @app.get("/ws/<name>")
    def ws(name: str) -> Any:
        try:
            ws = accept_websocket(request.environ, subprotocols=["talk"])
        except HandshakeError as error:
            return bottle.HTTPResponse(error.reason, error.status, dict(error.headers))
        for message in ws:
            ws.send(f"{name}: {message}")
        return "said to nobody"

    @app.get("/fail")
    def fail() -> str:
        raise ValueError("secret")

    return app
