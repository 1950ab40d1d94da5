"""WebOb alone: uploads, streams, ranges and cookies as its users write them."""

from __future__ import annotations

import json
from typing import Any

from tests.server.frameworks.probes import Probe, digest
from webob import Request, Response, exc
from webob.dec import wsgify
from webob.static import FileApp

from greenserve import HandshakeError, accept_websocket


def make(probe: Probe) -> Any:  # noqa: C901  # many views, each simple
    def answer(found: dict[str, Any]) -> Response:
        return Response(json.dumps(found), content_type="application/json", charset="utf-8")

    def upload(request: Request) -> Response:
        file = request.POST["file"]
        return answer(
            {"name": file.filename, "note": request.POST["note"], **digest(file.file.read)},
        )

    def raw(request: Request) -> Response:
        return answer(digest(request.body_file.read))

    def form(request: Request) -> Response:
        return answer({"a": request.POST.getall("a"), "b": request.POST["b"]})

    def stream(request: Request) -> Response:
        return Response(app_iter=probe.stream(), content_type="text/plain")

    def endless(request: Request) -> Response:
        return Response(app_iter=probe.endless(), content_type="text/plain")

    def file(request: Request) -> Any:
        return FileApp(str(probe.path))

    def set_cookies(request: Request) -> Response:
        response = Response("set")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2", path="/", httponly=True, max_age=60)
        response.set_cookie("c", "x-y")
        return response

    def cookies(request: Request) -> Response:
        return answer(dict(request.cookies))

    def echo(request: Request) -> Response:
        return answer({"path": request.path_info_pop() and request.path_info[1:], "q": request.GET["q"]})

    def old(request: Request) -> Response:
        return exc.HTTPFound(location="/echo/new?q=1")

    def ws(request: Request) -> Any:
        request.path_info_pop()
        try:
            ws = accept_websocket(request.environ, subprotocols=["talk"])
        except HandshakeError as error:
            return error
        for message in ws:
            ws.send(f"{request.path_info_peek()}: {message}")
        return Response("said to nobody")

    def fail(request: Request) -> Response:
        raise ValueError("secret")

    views = (upload, raw, form, stream, endless, file, set_cookies, cookies, echo, old, ws, fail)
    by_name = {view.__name__.replace("_", "-"): view for view in views}

    @wsgify
    def app(request: Request) -> Any:
        view = by_name.get(request.path_info_peek())
        if view is None:
            return exc.HTTPNotFound()
        return view(request)

    return app
