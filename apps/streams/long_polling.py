"""Long polling: a document that several clients read and write, each told of a change when it happens.

`greenserve apps.streams.long_polling:app --cancel-on-disconnect close`. A client says which version it has
(If-None-Match) and how long it is willing to wait (RFC 7240's Prefer: wait=20):

    curl -i localhost:8000/document
    curl -i localhost:8000/document -H 'If-None-Match: "1"' -H 'Prefer: wait=20'     # in another terminal
    curl -i localhost:8000/document -X PUT -H 'If-Match: "1"' -d 'A better text'
"""

from __future__ import annotations

import re

from flask import Flask, Response, abort, request

from greenserve import Condition

MOST_SECONDS = 25  # less than most proxies allow, and less than graceful_timeout: a stop answers all
MOST_BYTES = 65_536

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES


class Document:
    """A text, its version, and a wait for the next version."""

    def __init__(self) -> None:
        """Begin with the first version, which is empty."""
        self.text = b""
        self.version = 1
        self.changed = Condition()

    @property
    def tag(self) -> str:
        """The version as an entity tag (RFC 9110 §8.8.3)."""
        return f"{self.version}"

    def replace(self, text: bytes) -> None:
        """Make the next version and wake all that wait for it."""
        self.text = text
        self.version += 1
        with self.changed:
            self.changed.notify_all()

    def wait_for_other_than(self, version: int, seconds: float) -> None:
        """Return when the version is another one, or after so many seconds."""
        with self.changed:
            self.changed.wait_for(lambda: self.version != version, seconds)


document = Document()


def seconds_to_wait() -> int:
    """What the client prefers, within what this server allows; 0 without a preference."""
    found = re.search(r"(?:^|[,;\s])wait=([0-9]{1,9})\b", request.headers.get("Prefer", ""))
    return min(int(found[1]), MOST_SECONDS) if found else 0


def current(status: int = 200) -> Response:
    """The document as it is now."""
    response = Response(document.text, status, mimetype="text/plain")
    response.set_etag(document.tag)
    response.headers["Cache-Control"] = "no-cache"  # keep it, but ask each time
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@app.get("/document")
def read() -> Response:
    """The document, at once or when the client's version is out of date; 304 if that does not happen in time."""
    version = document.version
    if request.if_none_match.contains(document.tag):
        # Between this look and the wait no other green thread runs, so no change is missed.
        document.wait_for_other_than(version, seconds_to_wait())
    response = current()
    response.headers["Preference-Applied"] = f"wait={seconds_to_wait()}"
    response.make_conditional(request)
    return response


@app.put("/document")
def write() -> Response:
    """Replace the version that the client names, and no other: two that write at once do not lose a text."""
    if not request.if_match:
        abort(428, "Send If-Match with the ETag of the version that you have read.")
    text = request.get_data()  # may wait for the client, so the version is compared behind it
    if not request.if_match.contains(document.tag):
        abort(412, "Somebody else has written. Read the document again, then send your change with its ETag.")
    document.replace(text)
    return current()
