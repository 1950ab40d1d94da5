"""Flask: uploads, streams, ranges and cookies as its users write them."""

from __future__ import annotations

from typing import Any

import flask
from tests.server.frameworks.probes import Probe, digest

from greenserve import HandshakeError, accept_websocket


def make(probe: Probe) -> Any:  # noqa: C901  # many views, each simple
    app = flask.Flask(__name__)

    @app.post("/upload")
    def upload() -> dict[str, Any]:
        file = flask.request.files["file"]
        return {"name": file.filename, "note": flask.request.form["note"], **digest(file.stream.read)}

    @app.post("/raw")
    def raw() -> dict[str, Any]:
        return digest(flask.request.stream.read)

    @app.post("/form")
    def form() -> dict[str, Any]:
        return {"a": flask.request.form.getlist("a"), "b": flask.request.form["b"]}

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response(probe.stream(), mimetype="text/plain")

    @app.get("/endless")
    def endless() -> flask.Response:
        return flask.Response(probe.endless(), mimetype="text/plain")

    @app.get("/file")
    def file() -> flask.Response:
        return flask.send_file(probe.path, conditional=True)

    @app.get("/set-cookies")
    def set_cookies() -> flask.Response:
        response = flask.make_response("set")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2", path="/", httponly=True, max_age=60)
        response.set_cookie("c", "x-y")
        return response

    @app.get("/cookies")
    def cookies() -> dict[str, str]:
        return dict(flask.request.cookies)

    @app.get("/echo/<path:rest>")
    def echo(rest: str) -> dict[str, Any]:
        return {"path": rest, "q": flask.request.args["q"]}

    @app.get("/old")
    def old() -> Any:
        return flask.redirect("/echo/new?q=1")

    @app.route("/ws/<name>", websocket=True)  # or it is a 400: Werkzeug has no WebSocket at other rules
    def ws(name: str) -> Any:
        try:
            ws = accept_websocket(flask.request.environ, subprotocols=["talk"])
        except HandshakeError as error:
            return error
        for message in ws:
            ws.send(f"{name}: {message}")
        return "said to nobody"

    @app.get("/fail")
    def fail() -> str:
        raise ValueError("secret")

    return app
