"""The smallest WSGI app: what is measured is the server. Every server runs this very function."""

BODY = b"Hello, world!\n"
HEAD = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(BODY)))]


def app(environ, start_response):
    start_response("200 OK", HEAD[:])
    return [BODY]
