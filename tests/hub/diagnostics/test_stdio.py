"""stdio: who has a console talks to it, everybody else to what was there before."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from greenserve_hub.diagnostics.stdio import use_console
from greenserve_hub.greenthreads.greenthreads import spawn
from greenserve_hub.sync.events import Event


class Page:
    """A console in memory."""

    def __init__(self, text: str = "") -> None:
        self.text = ""
        self.shown: list[object] = []
        self._lines = io.StringIO(text)

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def readline(self) -> str:
        return self._lines.readline()

    def display(self, value: object) -> None:
        self.shown.append(value)

    def flush(self) -> None:
        self.text += "|"


@pytest.fixture(autouse=True)
def _is_restored() -> Iterator[None]:
    before = (sys.stdin, sys.stdout, sys.stderr, sys.displayhook)
    yield
    assert (sys.stdin, sys.stdout, sys.stderr, sys.displayhook) == before


def test_each_green_thread_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    pages = [Page(), Page()]
    go = Event()

    def talk(number: int) -> None:
        with use_console(pages[number]):
            go.wait()
            print("out", number, flush=True)
            print("err", number, file=sys.stderr)
            sys.displayhook(number)

    greens = [spawn(talk, number) for number in range(2)]
    go.send()
    print("mine")
    for green in greens:
        green.wait()
    assert [page.text for page in pages] == [f"out {n}\n|err {n}\n" for n in range(2)]
    assert [page.shown for page in pages] == [[0], [1]]
    assert capsys.readouterr() == ("mine\n", "")


def test_those_that_it_spawns_have_it_too() -> None:
    page = Page()
    with use_console(page):
        spawn(print, "child").wait()
    assert page.text == "child\n"


def test_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("one\ntwo\nthree\n")
    with use_console(page):
        assert input("? ") == "one"
        assert list(sys.stdin) == ["two\n", "three\n"]
        with pytest.raises(EOFError):
            input()
    assert page.text.replace("|", "") == "? "


def test_what_a_file_has_besides_is_the_originals(capsys: pytest.CaptureFixture[str]) -> None:
    def outside() -> str:
        print("outside")
        return sys.stdout.encoding.lower()

    plain = spawn(outside)
    with use_console(Page()):
        assert plain.wait() == "utf-8"
        assert not hasattr(sys.stdout, "encoding")
    assert capsys.readouterr().out == "outside\n"


def test_what_somebody_else_put_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before, other = sys.stdout, io.StringIO()
    with use_console(Page()):
        standing_in = sys.stdout
        sys.stdout = other
    assert sys.stdout is other
    sys.stdout = standing_in  # as a redirect_stdout() does that began inside
    page = Page()
    with use_console(page):
        print("x")
    assert page.text == "x\n"
    assert sys.stdout is before


def test_a_process_without_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    plain = spawn(print, "to nobody")
    page = Page()
    with use_console(page):
        plain.wait()
        print("to me")
    assert page.text == "to me\n"
    assert sys.stdout is None
