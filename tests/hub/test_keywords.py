"""Functions that hand keywords on: none of their own parameters is in the way, and eventlet's names for them serve."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import greenserve_hub
from greenserve_hub import (
    GreenPile,
    GreenPool,
    connect,
    listen,
    sleep,
    spawn,
    spawn_after,
    spawn_after_local,
    spawn_n,
    with_timeout,
)
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.osthreads import threads
from greenserve_hub.osthreads.thread_pools import shared

TAKEN = ("fn", "func", "function", "meth", "self", "seconds", "name", "call", "hub", "args", "kwargs")


class Called:
    """Notes what it was called with, and passes for a file or a number."""

    def __init__(self) -> None:
        self.got: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, /, *args: Any, **kwargs: Any) -> str:
        self.got.append((args, kwargs))
        return "done"

    method = __call__


def pile_spawn(*args: Any, **kwargs: Any) -> list[Any]:
    pile = GreenPile()
    pile.spawn(*args, **kwargs)
    return list(pile)


def linked(*args: Any, **kwargs: Any) -> None:
    green = spawn(sleep)
    green.link(*args, **kwargs)
    green.wait()
    assert green.unlink(*args, **kwargs) is False


def full_pool_spawn(*args: Any, **kwargs: Any) -> None:
    """From a member of a full pool, which runs it itself."""
    pool = GreenPool(1)
    pool.spawn(pool.spawn, *args, **kwargs).wait()


# What is called, what comes before the function, and what eventlet calls the function.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "spawn": (lambda *a, **k: spawn(*a, **k).wait(), {}, "func"),
    "spawn_n": (spawn_n, {}, "func"),
    "spawn_after": (lambda *a, **k: spawn_after(*a, **k).wait(), {"seconds": 0}, "func"),
    "spawn_after_local": (lambda *a, **k: spawn_after_local(*a, **k).wait(), {"seconds": 0}, "func"),
    "GreenPool.spawn": (lambda *a, **k: GreenPool().spawn(*a, **k).wait(), {}, "function"),
    "GreenPool.spawn, full": (full_pool_spawn, {}, "function"),
    "GreenPool.spawn_n": (lambda *a, **k: GreenPool().spawn_n(*a, **k), {}, "function"),
    "GreenPile.spawn": (pile_spawn, {}, "func"),
    "with_timeout": (with_timeout, {"seconds": 10}, "function"),
    "threads.execute": (threads.execute, {}, "meth"),
    "link": (linked, {}, "func"),
}
BY_NAME = [name for name in CALLS if name != "GreenPool.spawn, full"]  # whose helper gives one by position


@pytest.mark.parametrize("name", CALLS)
def test_every_keyword_is_the_functions_own(name: str):
    call, before, _ = CALLS[name]
    fn = Called()
    call(*before.values(), fn, **dict.fromkeys(TAKEN, 1))
    sleep()
    assert [kwargs for _, kwargs in fn.got] == [dict.fromkeys(TAKEN, 1)]


@pytest.mark.parametrize("name", BY_NAME)
def test_the_function_may_be_given_by_eventlets_name(name: str):
    call, before, theirs = CALLS[name]
    for keyword in (theirs, "fn"):
        fn = Called()
        call(**before, **{keyword: fn}, url=5)
        sleep()
        assert [kwargs for _, kwargs in fn.got] == [{"url": 5}]
    if before:
        fn = Called()
        call(*before.values(), **{theirs: fn}, url=5)
        sleep()
        assert fn.got[0][1] == {"url": 5}


@pytest.mark.parametrize("name", BY_NAME)
def test_what_is_missing_is_named_at_once(name: str):
    call, before, theirs = CALLS[name]
    with pytest.raises(TypeError, match=f"missing argument: pass it by position, or as {theirs}="):
        call(*before.values(), url=5)
    if before:
        with pytest.raises(TypeError, match="or as seconds="):
            call(**{theirs: Called()})


def test_maps_and_addresses_have_eventlets_names():
    pool = GreenPool()
    assert list(pool.starmap(function=pow, iterable=[(2, 3)])) == [8]
    assert list(pool.imap(pow, [2], [3])) == [8]
    with listen(addr=("127.0.0.1", 0)) as listener, connect(addr=listener.getsockname()) as sock:
        assert isinstance(sock, GreenSocket)


def test_a_proxys_methods_take_every_keyword():
    fn = Called()
    proxy = threads.Proxy(fn)
    assert proxy.method(**dict.fromkeys(TAKEN, 1)) == proxy(**dict.fromkeys(TAKEN, 1)) == "done"
    assert [kwargs for _, kwargs in fn.got] == [dict.fromkeys(TAKEN, 1)] * 2
    assert shared.execute(fn, self=1, fn=2) == "done"


def handing_on() -> Iterator[tuple[str, ast.arguments]]:
    """Each function of the runtime that takes whatever arguments and keywords there are."""
    for path in Path(greenserve_hub.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.args.vararg and node.args.kwarg:
                yield f"{path.name}: {node.name}", node.args


def test_no_function_that_hands_keywords_on_has_a_parameter_in_their_way():
    ignored = {"thread_locks.py: __init__"}  # RLock's, which takes anything and hands on nothing
    # By the names of what they stand for, which takes them as keywords: os.fdopen, os.sendfile, engineio's server.
    ignored |= {"green_os.py: fdopen", "transfers.py: sendfile", "other_runtimes.py: __init__"}
    found = {name for name, args in handing_on() if args.args} - ignored
    assert not found, "make what comes before *args positional-only"
