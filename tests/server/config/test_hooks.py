"""config.hooks: what may be a hook, and what is said of what may not."""

from __future__ import annotations

import functools
from functools import partial
from typing import Any

import pytest
from gunicorn.config import KNOWN_SETTINGS

from greenserve.config.hooks import HOOKS, check_hook, closest_hook
from greenserve.errors import ConfigError


class Callable_:
    def __call__(self, server: Any, worker: Any) -> None: ...


@pytest.mark.parametrize(
    "value",
    [
        lambda server, worker: None,
        lambda *arguments: None,
        lambda server, worker, more=1: None,
        functools.partial(lambda name, server, worker: None, "x"),
        Callable_(),
        print,
    ],
)
def test_what_can_be_called_as_the_hook_is(value: Any) -> None:
    hook = check_hook("post_fork", value, "x.py:1")
    assert (hook.name, hook.call, hook.origin) == ("post_fork", value, "x.py:1")


@pytest.mark.parametrize("name", HOOKS)
def test_gunicorns_parameters_fit(name: str) -> None:
    default = next(one.default for one in KNOWN_SETTINGS if one.name == name)
    assert check_hook(name, default, "gunicorn's own").name == name


async def coroutine(server: Any, worker: Any) -> None: ...


def generator(server: Any, worker: Any) -> Any:
    yield server


class Awaited:
    async def __call__(self, server: Any, worker: Any) -> None: ...


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (7, "post_fork (x.py:1) is a hook, and no int: write def post_fork(server, worker)"),
        (None, "post_fork (x.py:1) is a hook, and no NoneType: write"),
        (lambda worker: None, "post_fork (x.py:1) can't be called as the hook is: too many positional arguments; "),
        (lambda server, worker, more: None, "post_fork (x.py:1) can't be called as the hook is: missing a required "),
        (coroutine, "post_fork (x.py:1) is a coroutine function, which is never awaited: write"),
        (Awaited(), "post_fork (x.py:1) is a coroutine function, which is never awaited: write"),
        (generator, "post_fork (x.py:1) is a generator function, whose body never runs"),
        (partial(partial(generator, 1)), "post_fork (x.py:1) is a generator function, whose body never runs"),
    ],
)  # fmt: skip
def test_what_can_not_is_refused_in_one_line(value: Any, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_hook("post_fork", value, "x.py:1")
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_misspelling() -> None:
    assert closest_hook("post_frok") == "post_fork"
    assert closest_hook("nothing") == ""
