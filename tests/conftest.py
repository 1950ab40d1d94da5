"""How tests are run: on which hubs, and in which order.

`--hubs poll,select` runs what stands on a hub once for each of these, and leaves out what they can't change: tests that
choose their own poller, and those marked `no_hub`. What another hub shows as well is left out too (`_SHOWN`).
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis.strategies import none

from greenserve_hub.loop.current import set_hub

_TESTS = Path(__file__).parent
# By hub, what another hub shows as well. `select` is `poll` with another call. `poll` differs from epoll in how often
# it tells of a descriptor, which the tests of sockets, streams and servers meet. What is left out stands on the same
# waits and asks something else: what a process, a fork or a patched name does, what memory holds, where a finalizer
# may come. `asyncio` has epoll inside, with its edges: what a call on a socket returns, and what memory holds, is as it
# is there.
_SHOWN = {
    "select": ("server",),
    "poll": (
        "server/process",
        "server/net/serving/test_forked_apps.py",
        "server/net/serving/test_memory.py",
        "server/net/sockets/test_send_budget.py",
        "hub/patching",
        "hub/test_forks.py",
        "hub/test_interruptions.py",
        "hub/test_real_libraries.py",
    ),
    "asyncio": (
        "server/net/serving/test_memory.py",
        "server/net/sockets/test_faults.py",
        "server/net/sockets/test_send_budget.py",
    ),
}
_OWN_POLLER = "hub"  # the fixture by which a test chooses its pollers
# Modules that take ten seconds or more, the longest first: a run that began one of them last would wait for it alone.
LONG = (
    "test_frozen",
    "test_faults",
    "test_worker",
    "test_green_multiprocessing",
    "test_forked_apps",
    "test_interruptions",
    "test_stopping",
    "test_overview",
    "test_master",
    "test_starting",
    "test_upgrading",
    "test_blocks",
    "test_reload",
    "test_top",
    "test_single",
    "test_flask_sock",
    "test_flask_socketio",
    "test_page",
    "test_green_thread",
    "test_chat",
    "test_monkey",
    "test_transfers",
    "test_green_tracing",
    "test_real_libraries",
    "test_green_os",
    "test_send_budget",
    "test_runserver",
    "test_current",
    "test_green_signal",
    "test_memory",
    "test_other_runtimes",
    "test_soak",
    "test_embedding",
    "test_systemd",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hubs", default="", metavar="NAMES", help="run what stands on a hub on each of these")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if hubs := metafunc.config.getoption("--hubs"):
        metafunc.parametrize("on_hub", hubs.split(","), indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))
    if not config.getoption("--hubs"):
        return
    left_out = [item for item in items if _is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    again = _is_in(item.path, _SHOWN.get(params.get("on_hub", ""), ()))
    return _OWN_POLLER in params or again or item.get_closest_marker("no_hub") is not None


@cache  # a module's path is asked about for each of its tests
def _is_in(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(_TESTS / one) for one in places)


@settings(max_examples=1, database=None)
@given(none())
def _have_hypothesis_ready(_: None) -> None:
    """Have it register its random generator: it asks the collector who holds that, which sees no frozen holder."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Some hundred thousand objects hold the tests: the collector, which many tests call, need not look at them."""
    gc.disable()
    try:
        return (yield)
    finally:
        _have_hypothesis_ready()
        gc.collect()
        gc.freeze()
        gc.enable()


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


_FORKS = ("server/process", "server/metrics", "server/logs")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests there fork on purpose, in a process that other tests have left OS threads in."""
    if _is_in(item.path, _FORKS):
        item.add_marker(
            pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
        )
