"""Run inside the image by `make image-test`: the demo answers, as a plain user, and SIGTERM lets a request end.

Knows nothing but the standard library, since the image holds no tests.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys


def main() -> None:
    """Prints a line for each thing that holds; an AssertionError, and exit 1, for the first that doesn't."""
    assert os.getuid() != 0, "runs as root"
    assert not os.access("/app", os.W_OK), "can write to its own app"
    print(f"runs as user {os.getuid()} on Python {sys.version.split()[0]}")

    told = subprocess.run(["greenserve", "--version"], capture_output=True, text=True, check=True).stdout
    assert told.endswith("(compiled core)\n"), told

    # The image's own ENTRYPOINT and CMD, at a port that is free whatever else runs here.
    command = ["greenserve", "apps.demo:app", "--bind", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout
    try:
        found = next(
            filter(None, (re.search(r"http://([\d.]+):(\d+)", line) for line in server.stdout)), None
        )
        assert found, "never said where it listens"
        address = found[1], int(found[2])

        page = ask(address, "/")
        assert b"ten thousand connections" in page.read()
        rows = dict(json.load(ask(address, "/request")))
        print(f"the demo answers: {rows['SERVER_SOFTWARE']}, {rows['Python']}")

        # A nap of 1 s; the second request is answered after the first was taken in, so the signal meets it asleep.
        napping = http.client.HTTPConnection(*address, timeout=20)
        napping.request("GET", "/nap")
        ask(address, "/request").read()
        server.send_signal(signal.SIGTERM)
        answer = napping.getresponse()
        assert (answer.status, answer.read()) == (200, b"rested\n"), "SIGTERM broke a request off"
        assert answer.getheader("Connection") == "close"
        assert server.wait(20) == 0
        print("SIGTERM: the running request was answered, then exit 0")
    finally:
        server.kill()
        server.wait()


def ask(address: tuple[str, int], path: str) -> http.client.HTTPResponse:
    """The answer to one GET."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200, f"{path} answered {answer.status}"
    return answer


main()
