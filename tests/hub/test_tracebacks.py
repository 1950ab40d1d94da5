"""tracebacks: as the standard has them, and also where Python 3.15 runs code or fails in the midst of it."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from greenserve_hub.tracebacks import format_error


def raised(fn: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # any
        fn()
    return caught.value


def formatted(error: BaseException) -> str:
    return format_error(error, error.__traceback__)


def chained() -> None:
    try:
        raise ValueError("one")
    except ValueError as error:
        raise ExceptionGroup("several", [KeyError("two"), OSError("three")]) from error


def test_as_the_standard() -> None:
    for fn in (chained, lambda: exec("if x"), lambda: importlib.import_module("gs_missing")):
        error = raised(fn)
        assert formatted(error) == "".join(traceback.format_exception(error))
    assert format_error(OSError("no traceback"), None) == "OSError: no traceback\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that can't be imported, for it misses a part of its own. The file has a word for each try."""
    tries = tmp_path / "tries"
    (tmp_path / "gs_broken").mkdir()
    (tmp_path / "gs_broken" / "__init__.py").write_text(
        f"with open({str(tries)!r}, 'a') as file:\n    file.write('tried ')\nimport gs_broken.part\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tries


def test_a_package_that_failed_is_not_run_again(package: Path) -> None:
    def again() -> None:
        try:
            importlib.import_module("gs_broken")
        except ImportError as error:
            raise OSError("no app") from error

    error = raised(again)
    text = formatted(error)
    assert "ModuleNotFoundError: No module named 'gs_broken.part'\n" in text
    assert text.endswith("OSError: no app\n")
    assert package.read_text() == "tried "
    assert isinstance(error.__cause__, ModuleNotFoundError)
    assert error.__cause__.name == "gs_broken.part"


def test_a_package_without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gs_made_up", ModuleType("gs_made_up"))
    error = raised(lambda: importlib.import_module("gs_made_up.part"))
    assert formatted(error).endswith(
        "ModuleNotFoundError: No module named 'gs_made_up.part'; 'gs_made_up' is not a package\n"
    )
