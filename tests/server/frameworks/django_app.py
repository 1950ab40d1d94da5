"""Django: uploads, streams and cookies as its users write them. It serves no ranges."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from tests.server.frameworks.probes import Probe, digest

from greenserve import HandshakeError, accept_websocket

_probes: list[Probe] = []  # settings and URLs are the process's own


def _upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    return JsonResponse({"name": file.name, "note": request.POST["note"], **digest(file.read)})


def _raw(request: HttpRequest) -> HttpResponse:
    return JsonResponse(digest(request.read))


def _form(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"a": request.POST.getlist("a"), "b": request.POST["b"]})


def _stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_probes[-1].stream(), content_type="text/plain")


def _endless(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_probes[-1].endless(), content_type="text/plain")


def _file(request: HttpRequest) -> FileResponse:
    return FileResponse(_probes[-1].path.open("rb"))


def _set_cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("set")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2", path="/", httponly=True, max_age=60)
    response.set_cookie("c", "x-y")
    return response


def _cookies(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.COOKIES))


def _echo(request: HttpRequest, rest: str) -> HttpResponse:
    return JsonResponse({"path": rest, "q": request.GET["q"]})


def _old(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=302, headers={"Location": "/echo/new?q=1"})


def _ws(request: HttpRequest, name: str) -> HttpResponse:
    try:
        ws = accept_websocket(request.META, subprotocols=["talk"])
    except HandshakeError as error:
        return HttpResponse(error.reason, status=error.status, headers=dict(error.headers))
    for message in ws:
        ws.send(f"{name}: {message}")
    return HttpResponse("said to nobody")


def _fail(request: HttpRequest) -> HttpResponse:
    raise ValueError("secret")


urlpatterns = [
    path("upload", _upload),
    path("raw", _raw),
    path("form", _form),
    path("stream", _stream),
    path("endless", _endless),
    path("file", _file),
    path("set-cookies", _set_cookies),
    path("cookies", _cookies),
    path("echo/<path:rest>", _echo),
    path("old", _old),
    path("ws/<name>", _ws),
    path("fail", _fail),
]


def make(probe: Probe) -> Any:
    _probes.append(probe)
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            SECRET_KEY="a test's",
            USE_TZ=True,
            LOGGING_CONFIG=None,
            MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        )
        django.setup()
    return WSGIHandler()
