"""One second of waiting, then the hello body: a thread waits."""

from time import sleep

from tests.bench.apps import hello


def app(environ, start_response):
    sleep(1)
    return hello.app(environ, start_response)
