"""Every fenced block of every page runs, or is read by the program that it is for."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.docs.blocks import DOCS, PAGES, ROOT, blocks_of
from tests.docs.reader import Reader

pytestmark = [pytest.mark.repository, pytest.mark.no_hub]


def _name(page: Path) -> str:
    return (page.relative_to(DOCS) if page.is_relative_to(DOCS) else page.relative_to(ROOT)).as_posix()


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=_name)
def test_what_a_page_tells_to_do_works(page: Path) -> None:
    blocks = blocks_of(page)
    # The name of a unix socket has 107 characters at most, and pytest's folders take most of them.
    with TemporaryDirectory(prefix="docs", ignore_cleanup_errors=True) as folder:
        reader = Reader(Path(folder, "reader"))
        try:
            for block in blocks:
                reader.read(block)
            reader.run_python([one for one in blocks if one.language == "python" and not one.title])
        finally:
            reader.close()


def test_no_program_stands_on_a_page_unused() -> None:
    """A titled Python file is one that a command of its page, or another file of it, names."""
    unused = []
    for page in PAGES:
        blocks = blocks_of(page)
        for block in blocks:
            if block.language == "python" and block.title and not block.whole:
                stem = Path(block.title).stem
                others = [one.text for one in blocks if one is not block]
                known = {"greenserve_conf", "settings", "urls", "wsgi", "manage"}
                if stem not in known and not any(stem in text for text in others):
                    unused.append(block.place)
    assert not unused


def test_there_are_pages() -> None:
    assert DOCS / "index.md" in PAGES
