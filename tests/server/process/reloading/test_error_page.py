"""error_page: what it says of an error, to browsers and to others, and that nothing of the app's runs in it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenserve.errors import AppImportError
from greenserve.loading.loader import load_app
from greenserve.process.reloading.error_page import ErrorPage, place_of

_HTML = {"HTTP_ACCEPT": "text/html,*/*;q=0.8"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("page_app")]:
        del sys.modules[name]


def _page(folder: Path, code: str) -> ErrorPage:
    (folder / "page_app.py").write_text(code)
    with pytest.raises(AppImportError) as caught:
        load_app("page_app:app")
    return ErrorPage(caught.value)


def _ask(page: ErrorPage, **environ: str) -> tuple[str, dict[str, str], str]:
    begun: list[Any] = []
    body = page(
        {"REQUEST_METHOD": "GET", **environ},
        lambda status, headers, error=None: begun.extend((status, headers)) or bytes,
    )
    return begun[0], dict(begun[1]), b"".join(body).decode()


class TestPage:
    def test_a_syntax_error_with_its_line_and_column(self, folder: Path) -> None:
        status, headers, html = _ask(_page(folder, "a = 1\n\nif a\n    pass\n"), **_HTML)
        assert status == "500 Internal Server Error"
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<h1>SyntaxError: expected &#x27;:&#x27;</h1>" in html
        assert "<b>page_app.py</b>, line 3</p>" in html
        assert (
            "<div class=at><i>3</i><code>if a</code></div><div class=at><i></i><code>    ^</code></div>"
            in html
        )
        assert "greenserve --reload: for development only" in html

    def test_an_error_in_the_apps_own_frame_not_in_a_librarys(self, folder: Path) -> None:
        code = "import json\n\n\ndef make():\n    return json.loads('{')\n\n\napp = make()\n"
        _, _, html = _ask(_page(folder, code), **_HTML)
        assert "<b>page_app.py</b>, line 5</p>" in html
        assert "line 8, in &lt;module&gt;" in html
        assert "importlib" not in html
        assert "greenserve/" not in html

    def test_only_lines_around(self, folder: Path) -> None:
        lines = [f"a{number} = {number}" for number in range(100)]
        lines[49] = "1 / 0"
        _, _, html = _ask(_page(folder, "\n".join(lines)), **_HTML)
        assert re.findall(r"<i>(\d+)</i>", html) == [str(number) for number in range(45, 56)]

    def test_all_text_is_escaped(self, folder: Path) -> None:
        evil = "<script>alert(1)</script>{style}"
        _, _, html = _ask(_page(folder, f"raise ValueError({evil!r})  # {evil}"), **_HTML)
        assert "<script>alert" not in html
        assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;{style}") >= 3

    def test_nothing_comes_from_elsewhere(self, folder: Path) -> None:
        _, headers, html = _ask(_page(folder, "1 / 0"), **_HTML)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert not re.search(r"https?://|src=|href=", html)
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"

    def test_a_form_is_not_sent_again_by_itself(self, folder: Path) -> None:
        _, _, html = _ask(_page(folder, "1 / 0"), **_HTML | {"REQUEST_METHOD": "POST"})
        assert "<script" not in html
        assert "Then send the POST again" in html

    def test_an_error_without_a_place(self, folder: Path) -> None:
        _, _, html = _ask(_page(folder, "other = 1"), **_HTML)
        assert "page_app has no app" in html
        assert 'class="source"' not in html

    def test_a_file_that_is_no_utf8(self, folder: Path) -> None:
        (folder / "page_app.py").write_bytes(b"x = 'caf\xe9'\n")
        with pytest.raises(AppImportError) as caught:
            load_app("page_app:app")
        assert "SyntaxError" in _ask(ErrorPage(caught.value), **_HTML)[2]

    def test_it_shows_the_file_as_it_was(self, folder: Path) -> None:
        page = _page(folder, "1 / 0  # before\n")
        (folder / "page_app.py").unlink()
        assert "# before" in _ask(page, **_HTML)[2]


class TestOthers:
    @pytest.mark.parametrize("accepts", ["*/*", "", "application/json"])
    def test_text(self, folder: Path, accepts: str) -> None:
        status, headers, text = _ask(_page(folder, "1 / 0\n"), HTTP_ACCEPT=accepts)
        assert status == "500 Internal Server Error"
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert text.startswith("can't import page_app: ZeroDivisionError: division by zero\n\nTraceback")

    def test_the_stream_says_which_version_and_ends_with_the_worker(self, folder: Path) -> None:
        page = _page(folder, "1 / 0\n")
        version = re.findall(r'data-version="(\w+)"', _ask(page, **_HTML)[2])
        page.end()
        status, _, text = _ask(page, HTTP_ACCEPT="text/event-stream")
        assert (status, text) == ("200 OK", f"retry: 300\nevent: version\ndata: {version[0]}\n\n")


class TestFiles:
    def test_those_that_have_a_part_in_it(self, folder: Path) -> None:
        (folder / "page_app_part.py").write_text("def (")
        page = _page(
            folder, "try:\n    import page_app_part\nexcept SyntaxError as e:\n    raise ValueError from e\n"
        )
        assert {str(folder / "page_app.py"), str(folder / "page_app_part.py")} <= set(page.files)

    def test_the_place_of_an_error_without_a_traceback(self) -> None:
        assert place_of(ValueError()) is None
