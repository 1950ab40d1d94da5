"""settling: what `env` and `umask` set, and what is there again when they set it no more."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from greenserve import Config
from greenserve.process.system.settling import set_environment, without_settings


@pytest.fixture(autouse=True)
def umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("GS_ONE", raising=False)
    monkeypatch.setenv("GS_TWO", "before")
    old = os.umask(0o22)
    yield
    set_environment(Config())
    os.umask(old)


def _set(*env: str, umask: str = "") -> None:
    set_environment(Config.from_settings(env=env, umask=umask))


def _now() -> tuple[str | None, str | None, str]:
    umask = os.umask(0)
    os.umask(umask)
    return os.environ.get("GS_ONE"), os.environ.get("GS_TWO"), f"{umask:o}"


def test_what_is_taken_out_is_as_it_was_before() -> None:
    _set("GS_ONE=1", "GS_TWO=first", "GS_TWO=a=b", umask="077")
    assert _now() == ("1", "a=b", "77")
    _set("GS_ONE=11")
    assert _now() == ("11", "before", "22")
    _set(umask="027")
    assert _now() == (None, "before", "27")
    _set()
    assert _now() == (None, "before", "22")


def test_what_other_code_has_set_since_stays() -> None:
    _set("GS_ONE=1", "GS_TWO=2", umask="077")
    os.environ["GS_ONE"] = "of a hook"
    del os.environ["GS_TWO"]
    os.umask(0o7)
    _set()
    assert _now() == ("of a hook", None, "7")
    del os.environ["GS_ONE"]


def test_another_program_gets_what_was_there_before() -> None:
    _set("GS_ONE=1", umask="077")
    config = Config.from_settings(env=("GS_TWO=2",), umask="027")

    def execute() -> None:
        with without_settings(config):
            assert _now() == (None, "before", "22")
            raise OSError("can't be executed")

    with pytest.raises(OSError, match="can't be executed"):
        execute()
    assert _now() == (None, "2", "27")
