"""A small Flask app: a form, JSON both ways, and an answer that streams while it is being made.

Nothing in it is written for greenserve but the sleep, which lets other green threads run meanwhile.
Run it with `greenserve apps.flask_app:app`.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask, Response, jsonify, render_template_string, request

from greenserve import sleep

app = Flask(__name__)

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Flask on greenserve</title>
<style>
  :root { color-scheme: light dark }
  body { font: 1rem/1.6 system-ui; max-width: 34rem; margin: 4rem auto; padding: 0 1rem }
</style>
<h1>Flask on greenserve</h1>
{% if name %}<p role="status">Hello, {{ name }}!</p>{% endif %}
<form method="post">
  <label>Your name <input name="name" required value="{{ name }}"></label> <button>Greet</button>
</form>
<p><a href="/countdown?from=5">A countdown</a> that arrives line by line.</p>
"""


@app.route("/", methods=["GET", "POST"])
def index() -> str:
    """The form, and the greeting once it was sent. Jinja escapes the name."""
    return render_template_string(PAGE, name=request.form.get("name", ""))


@app.post("/sum")
def add() -> tuple[Response, int] | Response:
    """Takes `{"numbers": [1, 2]}` and answers `{"sum": 3}`."""
    sent = request.get_json(silent=True)
    numbers = sent.get("numbers") if isinstance(sent, dict) else None
    if not isinstance(numbers, list) or not all(isinstance(n, int | float) for n in numbers):
        return jsonify(error="send a JSON object with a list of numbers"), 400
    return jsonify(sum=sum(numbers))


@app.get("/countdown")
def countdown() -> Response:
    """A line each half second; each is sent as it is yielded."""

    def lines(start: int) -> Iterator[str]:
        for number in range(start, 0, -1):
            yield f"{number}\n"
            sleep(0.5)
        yield "lift-off\n"

    return Response(lines(min(request.args.get("from", 3, type=int), 60)), mimetype="text/plain")
