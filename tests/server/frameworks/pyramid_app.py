"""Pyramid: uploads, streams, ranges and cookies as its users write them."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import FileResponse, Response
from tests.server.frameworks.probes import Probe, digest

from greenserve import HandshakeError, accept_websocket


def make(probe: Probe) -> Any:  # noqa: C901  # many views, each simple
    config = Configurator()

    def route(pattern: str, view: Any, renderer: str | None = "json") -> None:
        config.add_route(view.__name__, pattern)
        config.add_view(view, route_name=view.__name__, renderer=renderer)

    def upload(request: Request) -> dict[str, Any]:
        file = request.POST["file"]
        return {"name": file.filename, "note": request.POST["note"], **digest(file.file.read)}

    def raw(request: Request) -> dict[str, Any]:
        return digest(request.body_file.read)

    def form(request: Request) -> dict[str, Any]:
        return {"a": request.POST.getall("a"), "b": request.POST["b"]}

    def stream(request: Request) -> Response:
        return Response(app_iter=probe.stream(), content_type="text/plain")

    def endless(request: Request) -> Response:
        return Response(app_iter=probe.endless(), content_type="text/plain")

    def file(request: Request) -> Response:
        response = FileResponse(str(probe.path), request=request)
        response.accept_ranges = "bytes"
        return response

    def set_cookies(request: Request) -> Response:
        response = Response("set")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2", path="/", httponly=True, max_age=60)
        response.set_cookie("c", "x-y")
        return response

    def cookies(request: Request) -> dict[str, str]:
        return dict(request.cookies)

    def echo(request: Request) -> dict[str, Any]:
        return {"path": "/".join(request.matchdict["rest"]), "q": request.GET["q"]}

    def old(request: Request) -> Response:
        return HTTPFound("/echo/new?q=1")

    def ws(request: Request) -> Response:
        name = request.matchdict["name"]
        try:
            ws = accept_websocket(request.environ, subprotocols=["talk"])
        except HandshakeError as error:
            return request.get_response(error)
        for message in ws:
            ws.send(f"{name}: {message}")
        return Response("said to nobody")

    def fail(request: Request) -> Response:
        raise ValueError("secret")

    for view in (upload, raw, form, stream, endless, file, cookies, old, fail):
        route(f"/{view.__name__}", view)
    route("/set-cookies", set_cookies)
    route("/echo/*rest", echo)
    route("/ws/{name}", ws)
    return config.make_wsgi_app()
