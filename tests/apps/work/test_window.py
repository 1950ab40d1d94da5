"""apps/work/window with a stand-in for the window's loop, which needs no display."""

from __future__ import annotations

import queue
import re
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests
from apps.work import window
from tests.support.servers.running import serving
from tests.support.times import PATIENCE


class StandInLoop:
    """As a toolkit's: calls what is due, in the one thread that runs it, until it is left."""

    def __init__(self):
        self.calls = queue.PriorityQueue()
        self.count = 0

    def after(self, ms, func):
        self.count += 1
        self.calls.put((time.monotonic() + ms / 1000, self.count, func))

    def mainloop(self):
        while True:
            due, _, func = self.calls.get()
            if func is None:
                return
            time.sleep(max(0, due - time.monotonic()))
            func()

    def leave(self):
        self.calls.put((0, 0, None))


class Window:
    """Its text, which only the loop's thread may touch."""

    def __init__(self):
        self.text = "Nothing yet"
        self.thread = threading.get_ident()

    def read(self):
        assert threading.get_ident() == self.thread, "a toolkit would crash"
        return self.text

    def write(self, text):
        assert threading.get_ident() == self.thread, "a toolkit would crash"
        if text == "fail":
            raise LookupError(text)
        self.text = text


@contextmanager
def running(loop):
    """The window's thread."""
    ready = queue.SimpleQueue()

    def run():
        ready.put((Window(), window.Calls(loop.after)))
        loop.mainloop()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ready.get(timeout=PATIENCE)
    finally:
        loop.leave()
        thread.join(PATIENCE)


@pytest.fixture
def server():
    with (
        running(StandInLoop()) as (shown, calls),
        serving(window.Panel(calls, shown.read, shown.write)) as server,
    ):
        yield server


def post(server, text, **headers):
    headers = {"X-Window": "1"} | headers
    return requests.post(server.url, data=text.encode(), headers=headers, timeout=PATIENCE)


def test_requests_read_and_change_what_the_window_shows(server):
    assert requests.get(server.url, timeout=PATIENCE).text == "Nothing yet\n"
    assert post(server, "Tea is ready ☕").status_code == 200
    assert requests.get(server.url, timeout=PATIENCE).text == "Tea is ready ☕\n"


def test_many_at_once(server):
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda n: post(server, str(n)).text, range(100)))
    assert answers == [f"{n}\n" for n in range(100)]


def test_a_window_that_is_busy_holds_no_request_for_long(monkeypatch):
    monkeypatch.setattr(window, "CALL_SECONDS", 0.05)
    loop, entered, held = StandInLoop(), threading.Event(), threading.Event()

    def hold():
        entered.set()
        held.wait()

    with running(loop) as (shown, calls), serving(window.Panel(calls, shown.read, shown.write)) as server:
        loop.after(0, hold)
        entered.wait(PATIENCE)
        try:
            answer = requests.get(server.url, timeout=PATIENCE)
        finally:
            held.set()
    assert (answer.status_code, answer.text) == (503, "The window is busy. Try again later.\n")


def test_an_error_in_the_window_is_an_error_of_this_request_alone(server):
    assert post(server, "fail").status_code == 500
    assert post(server, "fine").status_code == 200


def test_refuses_pages_of_other_sites(server):
    assert requests.post(server.url, data="x", timeout=PATIENCE).status_code == 403
    assert post(server, "x", Host="elsewhere.example").status_code == 403
    assert requests.get(server.url, headers={"Host": "x"}, timeout=PATIENCE).status_code == 403


@pytest.mark.parametrize("text", ["", " ", "two\nlines", "x" * 201, "☕" * 100_000, "\x1b[31m"])
def test_refuses_what_is_no_line(server, text):
    answer = post(server, text)
    assert (answer.status_code, answer.text) == (400, "Send one line of at most 200 characters.\n")
    assert requests.delete(server.url, timeout=PATIENCE).status_code == 405


def test_as_a_program(monkeypatch, capsys):
    """With a module in place of tkinter, whose window is closed after one request."""
    answers = []

    class Tk(StandInLoop):
        def title(self, text):
            pass

        def mainloop(self):
            url = re.search(r"http://\S+", capsys.readouterr().out)[0]

            def ask():
                answers.append(requests.get(url, timeout=PATIENCE).text)
                self.leave()

            client = threading.Thread(target=ask)
            client.start()
            super().mainloop()
            client.join()

    class StringVar:
        def __init__(self, window, value):
            self.get, self.set = (lambda: value), None

    label = types.SimpleNamespace(pack=lambda: None)
    stand_in = types.SimpleNamespace(Tk=Tk, StringVar=StringVar, Label=lambda *_, **__: label)
    monkeypatch.setitem(sys.modules, "tkinter", stand_in)
    monkeypatch.setattr(sys, "argv", ["window", "0"])
    window.main()
    assert answers == ["Nothing yet\n"]
