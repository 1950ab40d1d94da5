"""error_page in Chromium: its script and style run under its CSP, and it loads itself again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.clients.browsers import MISSING, REASON, browsers
from tests.support.programs.commands import command
from tests.support.times import eventually

pytestmark = pytest.mark.skipif(MISSING, reason=REASON)

_FINE = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<h1>fine</h1>"]
"""


def test_the_page_of_an_open_tab_follows_the_code(tmp_path: Path) -> None:
    file = tmp_path / "web.py"
    file.write_text("x = '<img src=x onerror=alert(1)>'\nraise ValueError(x)\n")
    arguments = ["-m", "greenserve", "web:app", "--reload", "--bind", "127.0.0.1:0"]
    with command(*arguments, folder=tmp_path) as process, browsers(1) as (browser,):
        host, port = process.listens_and_watches()
        browser.open(f"http://{host}:{port}/a?b=c")
        assert browser.texts("h1") == ["ValueError: <img src=x onerror=alert(1)>"]
        assert browser.script("return getComputedStyle(document.querySelector('.at')).display") == "flex"
        # On a phone nothing but the source and the traceback scrolls sideways.
        browser.devtools(
            "Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True
        )
        assert browser.script("return document.documentElement.scrollWidth") == 360
        assert not [line for line in browser.complaints() if "Content Security Policy" in line]
        file.write_text("def (\n")
        eventually(lambda: browser.texts("h1") == ["SyntaxError: invalid syntax"], "the next error")
        file.write_text(_FINE)
        eventually(lambda: browser.texts("h1") == ["fine"], "the app")
        assert browser.script("return location.pathname + location.search") == "/a?b=c"
