"""Server-sent events: a browser that comes back gets what it has missed.

`greenserve apps.streams.events:app`, then open / in two windows and publish in one. When a connection breaks, the
browser connects again by itself and sends the id of its last event as Last-Event-ID.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator

from flask import Flask, Response, abort, request

from greenserve import Condition

KEPT = 1000  # events that a client may have missed
PING_SECONDS = 15.0  # a proxy ends a connection that is silent, most of them after 60 s
RETRY_SECONDS = 2

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 4096

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>News</title>
<h1>News</h1>
<form><label>Text <input required maxlength="1000"></label> <button>Publish</button></form>
<ol role="log"></ol>
<script>
  const list = document.querySelector("ol"), input = document.querySelector("input");
  const add = (text) => list.appendChild(document.createElement("li")).textContent = text;
  const events = new EventSource("events");
  events.addEventListener("news", (event) => add(event.data));
  events.addEventListener("missed", () => add("… some news are missing here"));
  document.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = {"Content-Type": "application/json"};
    await fetch("news", {method: "POST", headers, body: JSON.stringify({text: input.value})});
    input.value = "";
  });
</script>
"""


class History:
    """The last events in one list that all clients read, each at its own place: a slow one costs no queue."""

    def __init__(self) -> None:
        """Begin without events."""
        self.run = (
            f"{time.time_ns():x}"  # a part of each id: those of a server that ran before mean nothing here
        )
        self.events: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self.last = 0
        self.news = Condition()

    def publish(self, text: str) -> int:
        """Add an event and wake all that wait; return its number."""
        self.last += 1
        self.events.append((self.last, text))
        with self.news:
            self.news.notify_all()
        return self.last

    def after(self, place: int, seconds: float) -> list[tuple[int, str]]:
        """Return the events behind `place`; without any, wait so long for one."""
        with self.news:
            self.news.wait_for(lambda: self.last > place, seconds)
        return [event for event in self.events if event[0] > place]

    def place_of(self, event_id: str) -> int | None:
        """Return the number in an id; None if it is not one of this server's."""
        found = re.fullmatch(f"{self.run}-([0-9]{{1,15}})", event_id)
        return int(found[1]) if found and int(found[1]) <= self.last else None


history = History()


def stream(place: int | None) -> Iterator[bytes]:
    """Yield the events behind `place` as they come, without end: a stop of the server ends it."""
    yield f"retry: {RETRY_SECONDS * 1000}\n\n".encode()
    while True:
        events = history.after(place, PING_SECONDS) if place is not None else list(history.events)
        if place is None or (events and events[0][0] > place + 1):
            yield b"event: missed\ndata:\n\n"
        place = events[-1][0] if events else place or 0
        for number, text in events:
            lines = "".join(f"data: {line}\n" for line in re.split("\r\n|\r|\n", text))
            yield f"event: news\nid: {history.run}-{number}\n{lines}\n".encode()
        if not events:
            yield b": still here\n\n"  # a comment; it also finds a client that has left without a word


@app.get("/")
def page() -> str:
    """The page."""
    return PAGE


@app.get("/events")
def events() -> Response:
    """The stream: from now on, or from the last event that the client has seen."""
    seen = request.headers.get("Last-Event-ID")
    response = Response(
        stream(history.last if seen is None else history.place_of(seen)), mimetype="text/event-stream"
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # or nginx would hold events back
    return response


@app.post("/news")
def publish() -> tuple[dict[str, int], int]:
    """Take `{"text": ...}`. Only JSON: a form of another site could send anything else in a visitor's name."""
    sent = request.get_json()
    text = sent.get("text") if isinstance(sent, dict) else None
    if not isinstance(text, str) or not 0 < len(text) <= 1000:
        abort(400, 'Send {"text": "..."} with 1 to 1000 characters.')
    return {"number": history.publish(text)}, 201
