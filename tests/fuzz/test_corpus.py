"""The fuzzer's corpus, replayed without the fuzzer: what it once reached, and what once went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.targets import TARGETS, WORDS, timed
from tests.support.examples import examples

CORPUS = Path(__file__).with_name("corpus")
FILES = sorted(path for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_replay(path: Path) -> None:
    timed(TARGETS[path.parent.name], path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_has_a_small_corpus(name: str) -> None:
    files = [path for path in FILES if path.parent.name == name]
    assert 1 <= len(files) <= 100
    assert sum(path.stat().st_size for path in files) < 100_000


def test_each_corpus_has_its_target() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)
    assert set(WORDS) <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_words_in_any_order(name: str) -> None:
    @given(st.lists(st.sampled_from(WORDS.get(name, [b""])) | st.binary(max_size=3), max_size=12))
    @examples(200)
    def check(words: list[bytes]) -> None:
        timed(TARGETS[name], b"\x05\x1e\xff\xff" + b"".join(words))

    check()
