"""`python -m tests.migration.nameko_http`: nameko's HTTP entrypoints, unmodified, on greenserve.

They go through wsgi.Server(...).process_request() and a protocol of nameko's own. It needs no broker: the service has
HTTP entrypoints only.
"""

from __future__ import annotations

import sys

from tests.migration.kit.driving import ask, free_port, running
from tests.migration.kit.installing import installed

SERVICE = """\
import eventlet
from nameko.web.handlers import http

assert eventlet.__name__ == "greenserve_eventlet"

class Service:
    name = "service"

    @http("GET", "/get/<int:value>")
    def get(self, request, value):
        eventlet.sleep(0.5)
        return f"value={value}"

    @http("POST", "/post")
    def post(self, request):
        text = request.get_data(as_text=True)
        return 201, {"X-Length": str(len(text))}, text

    @http("GET", "/fails")
    def fails(self, request):
        raise ValueError("told")
"""
CLIENT = """\
import http.client, sys, time
from concurrent.futures import ThreadPoolExecutor

port = int(sys.argv[1])

def get(number):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/get/{number}")
    return connection.getresponse().read()

begin = time.monotonic()
with ThreadPoolExecutor(20) as pool:
    assert list(pool.map(get, range(20))) == [b"value=%d" % n for n in range(20)]
took = time.monotonic() - begin
assert took < 8, took
connection = http.client.HTTPConnection("127.0.0.1", port)
for body in (b"x" * 100_000, b""):
    connection.request("POST", "/post", body)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["X-Length"]) == (201, str(len(body)))
    assert answer.read() == body
connection.request("GET", "/fails")
assert connection.getresponse().status == 500
print(f"20 requests that sleep for 0.5 s took {took:.1f} s")
"""


def main() -> int:
    """Run it and return the exit code."""
    with installed("nameko==2.14.1", "setuptools<81", "Werkzeug<3") as here:
        (here.folder / "service.py").write_text(SERVICE)
        port = free_port()
        (here.folder / "config.yaml").write_text(f"WEB_SERVER_ADDRESS: 127.0.0.1:{port}\n")
        program = "import sys; sys.argv[0] = 'nameko'; from nameko.cli.main import main; main()"
        (here.folder / "run_nameko.py").write_text(program)
        command = ("-m", "greenserve_eventlet", "run_nameko.py", "run", "--config", "config.yaml", "service")
        with running(here, port, here.python, *command):
            ask(here, CLIENT, port)
        print("nameko's HTTP entrypoints worked", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
