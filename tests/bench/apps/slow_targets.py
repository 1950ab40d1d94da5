"""What slow clients aim at: bodies that are read or left, and answers far larger than a socket's buffers.

/read reads the request's body, any other path leaves it; /whole, /file and /stream give a mebibyte in one piece, from a
file, and piece by piece; all else is the hello app.
"""

import tempfile

from tests.bench.apps import hello

SIZE = 1 << 20
PIECE = 1 << 16


_FILE = tempfile.NamedTemporaryFile()  # noqa: SIM115  # as long as the process
_FILE.write(b"x" * SIZE)
_FILE.flush()


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/read":
        environ["wsgi.input"].read()
    elif path in _LARGE:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(SIZE))])
        return _LARGE[path](environ)
    return hello.app(environ, start_response)


def _stream(environ):
    for _ in range(SIZE // PIECE):
        yield b"x" * PIECE


_LARGE = {
    "/whole": lambda environ: [b"x" * SIZE],  # of this request alone, as a rendered page is
    "/file": lambda environ: environ["wsgi.file_wrapper"](open(_FILE.name, "rb")),  # noqa: SIM115
    "/stream": _stream,
}
