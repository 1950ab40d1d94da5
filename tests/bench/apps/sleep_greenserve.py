"""One second of waiting, then the hello body: a greenserve green thread waits."""

from tests.bench.apps import hello

from greenserve import sleep


def app(environ, start_response):
    sleep(1)
    return hello.app(environ, start_response)
