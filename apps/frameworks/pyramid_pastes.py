"""Pyramid and WebOb: texts that are kept for others to read, each under an address that nobody can guess.

`greenserve apps.frameworks.pyramid_pastes:app`, then `curl -i --data-binary @notes.txt localhost:8000/pastes`.
Nothing in it is written for greenserve.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Any
from urllib.parse import parse_qs

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPException, HTTPNotFound, HTTPRequestEntityTooLarge
from pyramid.response import Response

MOST_BYTES = 65_536  # of a paste
MOST_KEPT = 1000  # pastes, so at most 64 MiB; the oldest goes first

pastes: OrderedDict[str, str] = OrderedDict()

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Pastes</title>
<h1>Pastes</h1>
<form method="post" action="pastes">
<label>Text <textarea name="text" required></textarea></label> <button>Keep</button></form>
"""


def page(_request: Any) -> Response:
    """The form."""
    return Response(PAGE)


def read_text(request: Any) -> str:
    """Return the text that a form or a program sends; of a body that is too long no more is read than shows it."""
    if (request.content_length or 0) > MOST_BYTES:
        raise HTTPRequestEntityTooLarge(f"Send at most {MOST_BYTES} bytes.")
    body = request.body_file.read(MOST_BYTES + 1)  # one in chunks tells no length before
    if len(body) > MOST_BYTES:
        raise HTTPRequestEntityTooLarge(f"Send at most {MOST_BYTES} bytes.")
    try:
        text: str = body.decode()
        if request.content_type == "application/x-www-form-urlencoded" and text.startswith("text="):
            text = "".join(parse_qs(text, errors="strict", max_num_fields=1).get("text", []))
    except ValueError:
        raise HTTPBadRequest("Send text in UTF-8.") from None
    return text


def keep(request: Any) -> Response:
    """Keep a text: 201 and its address. A browser is sent there."""
    text = read_text(request)
    if not text.strip():
        raise HTTPBadRequest("Send some text.")
    name = secrets.token_urlsafe(12)
    pastes[name] = text
    while len(pastes) > MOST_KEPT:
        pastes.popitem(last=False)
    url = request.route_url("paste", name=name)
    offers = request.accept.acceptable_offers(["text/plain", "text/html"])
    status = 303 if offers and offers[0][0] == "text/html" else 201
    return Response(f"{url}\n", status=status, content_type="text/plain", location=url)


def show(request: Any) -> Response:
    """A paste as plain text, whatever it is: a browser must not take it for a page of this site."""
    try:
        text = pastes[request.matchdict["name"]]
    except KeyError:
        raise HTTPNotFound("There is no such paste, or it is so old that it is gone.") from None
    response = Response(text, content_type="text/plain", conditional_response=True)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.md5_etag()  # with conditional_response: 304 for one who has it, and ranges
    return response


def explain(error: HTTPException, request: Any) -> Response:
    """Every error as plain text, in one line."""
    request.response.status = error.status
    request.response.content_type = "text/plain"
    request.response.text = f"{error.detail or error.title}\n"
    return request.response


def create_app() -> Any:
    """Make the WSGI app."""
    with Configurator() as config:
        config.add_route("page", "/", request_method=("GET", "HEAD"))
        config.add_route("keep", "/pastes", request_method="POST")
        config.add_route("paste", "/pastes/{name}", request_method=("GET", "HEAD"))
        config.add_view(page, route_name="page")
        config.add_view(keep, route_name="keep")
        config.add_view(show, route_name="paste")
        config.add_exception_view(explain, context=HTTPException)
        return config.make_wsgi_app()


app = create_app()
