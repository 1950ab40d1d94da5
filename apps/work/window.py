"""A server inside a program with a window: other programs and pages change what the window shows.

`python -m apps.work.window [PORT]` opens a tkinter window and serves at 127.0.0.1:

    curl localhost:8765/                                   # the state
    curl localhost:8765/ -H 'X-Window: 1' -d 'Tea is ready'   # changes the text of the window

The server runs in an OS thread of its own. Toolkits (tkinter, Qt, GTK) allow calls in their own thread only, so a
request hands its call to the window's loop and waits for the result; the loop never waits for a request.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import greenserve
from greenserve import threads

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

LOOK_MS = 20  # how often the loop looks for calls
CALL_SECONDS = 5.0  # how long a request waits for a loop that is busy
MOST_CHARACTERS = 200


class Calls:
    """Calls on their way from the server's thread to the window's."""

    def __init__(self, after: Callable[[int, Callable[[], None]], object]) -> None:
        """Begin to look for calls, in the loop's thread. `after(ms, f)` has the loop call f; tkinter's name for it."""
        self.after = after
        self.waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.look()

    def look(self) -> None:
        """Run what is waiting, and come back soon. Only the loop calls it."""
        self.after(LOOK_MS, self.look)
        while not self.waiting.empty():
            self.waiting.get_nowait()()

    def call(self, function: Callable[[], Any]) -> Any:
        """For requests: run `function` in the loop's thread; return its result, or raise its error or Empty.

        Other requests go on meanwhile.
        """
        outcome: threads.Queue[tuple[Any, Exception | None]] = (
            threads.Queue()
        )  # between OS threads, never blocking

        def run() -> None:
            try:
                outcome.put((function(), None))
            except Exception as error:
                outcome.put((None, error))

        self.waiting.put(run)
        result, error = outcome.get(timeout=CALL_SECONDS)
        if error is not None:
            raise error
        return result


class Panel:
    """The WSGI app: GET tells the text, POST changes it."""

    def __init__(self, calls: Calls, read: Callable[[], str], write: Callable[[str], object]) -> None:
        """`read` and `write` belong to the window; they are called in its thread."""
        self.calls, self.read, self.write = calls, read, write

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        status, text = self.answer(environ)
        body = f"{text}\n".encode()
        start_response(
            status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        )
        return [body]

    def answer(self, environ: WSGIEnvironment) -> tuple[str, str]:
        """The status and the text of the response."""
        if urlsplit(f"//{environ.get('HTTP_HOST')}").hostname not in ("127.0.0.1", "localhost"):
            return (
                "403 Forbidden",
                "Ask for localhost.",
            )  # or a page whose name means 127.0.0.1 could (DNS rebinding)
        try:
            if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
                return "200 OK", self.calls.call(self.read)
            if environ["REQUEST_METHOD"] != "POST":
                return "405 Method Not Allowed", "Send GET or POST."
            # Pages of other sites reach 127.0.0.1 too, but cannot send a field of their own without asking (CORS).
            if "HTTP_X_WINDOW" not in environ:
                return "403 Forbidden", "Send the field X-Window: 1."
            text = environ["wsgi.input"].read(4 * MOST_CHARACTERS + 1).decode("utf-8", "replace").strip()
            if not text.isprintable() or not 0 < len(text) <= MOST_CHARACTERS:
                return "400 Bad Request", f"Send one line of at most {MOST_CHARACTERS} characters."
            self.calls.call(lambda: self.write(text))
            return "200 OK", text
        except greenserve.Empty:
            return "503 Service Unavailable", "The window is busy. Try again later."


def main() -> None:
    """Open the window, and serve until it is closed."""
    import tkinter

    window = tkinter.Tk()
    window.title("A window that serves")
    text = tkinter.StringVar(window, "Nothing yet")
    tkinter.Label(window, textvariable=text, padx=40, pady=40).pack()
    panel = Panel(Calls(window.after), text.get, text.set)
    with greenserve.serve(panel, host="127.0.0.1", port=int((sys.argv[1:] or ["8765"])[0])) as server:
        print(f"Serving at {server.url}")
        window.mainloop()


if __name__ == "__main__":
    main()
