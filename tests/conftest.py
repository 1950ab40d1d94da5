"""How tests are run: on which hubs, and which of them with no other test beside them.

`--hubs poll,select` runs what stands on a hub once for each of these, and leaves out what they can't change: tests that
choose their own poller, and those marked `no_hub`. What another hub shows as well is left out too (`_SHOWN`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.turns import Turns

from greenserve_hub.loop.current import set_hub

_TESTS = Path(__file__).parent
# By hub: `select` is `poll` with another call, and a process of `poll` is one of epoll.
_SHOWN = {"select": "server", "poll": "server/process"}
_OWN_POLLER = "hub"  # the fixture by which a test chooses its pollers


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hubs", default="", metavar="NAMES", help="run what stands on a hub on each of these")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if hubs := metafunc.config.getoption("--hubs"):
        metafunc.parametrize("on_hub", hubs.split(","), indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--hubs"):
        return
    left_out = [item for item in items if _is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    shown = _SHOWN.get(params.get("on_hub", ""))
    again = shown is not None and item.path.is_relative_to(_TESTS / shown)
    return _OWN_POLLER in params or again or item.get_closest_marker("no_hub") is not None


@pytest.fixture(autouse=True, scope="module")
def on_hub(request: pytest.FixtureRequest) -> Iterator[None]:
    """The hub of this test and of what it starts. A server that a whole module shares asks for it by name."""
    name = getattr(request, "param", None)
    if name is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GREENSERVE_HUB", name)
        before = set_hub(None)
        try:
            yield
        finally:
            if (hub := set_hub(before)) is not None:
                hub.close()


@pytest.fixture(scope="session")
def turns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turns | None]:
    """Between the processes of pytest-xdist, which share the folder above their own; without it there is one."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield None
        return
    turns = Turns(tmp_path_factory.getbasetemp().parent)
    yield turns
    turns.close()


@pytest.fixture(autouse=True)
def turn(request: pytest.FixtureRequest, turns: Turns | None) -> Iterator[None]:
    """A test marked `alone` has the machine to itself."""
    if turns is None:
        yield
        return
    with turns.alone() if request.node.get_closest_marker("alone") else turns.beside_others():
        yield
