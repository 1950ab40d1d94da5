"""One second of waiting, then the hello body: a eventlet green thread waits."""

from eventlet import sleep
from tests.bench.apps import hello


def app(environ, start_response):
    sleep(1)
    return hello.app(environ, start_response)
