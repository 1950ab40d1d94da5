"""hooks.calls: which are called, with what, and what becomes of their errors."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import pytest

from greenserve.config import Config
from greenserve.config.hooks import Hook
from greenserve.errors import ConfigError
from greenserve.hooks import Hooks, Process


@pytest.fixture
def process() -> Process:
    return Process(os.getpid(), Config())


def noting(name: str, calls: list[Any], label: str = "") -> Hook:
    return Hook(name, lambda *arguments: calls.append((label or name, *arguments)), "conf.py:1")


def raising(name: str, error: BaseException) -> Hook:
    def fail(*arguments: object) -> None:
        raise error

    return Hook(name, fail, "conf.py:1")


def test_each_gets_the_processes(process: Process) -> None:
    calls: list[Any] = []
    names = ["on_starting", "when_ready", "post_fork", "worker_exit"]
    hooks = Hooks(noting(name, calls) for name in names)
    worker = Process(7, process.config)
    hooks.on_starting(process)
    hooks.when_ready(process)
    with hooks.worker(process, worker):
        calls.append("serving")
    assert calls == [
        ("on_starting", process),
        ("when_ready", process),
        ("post_fork", process, worker),
        "serving",
        ("worker_exit", process, worker),
    ]
    assert process.log.name == "greenserve.error"


def test_several_of_one_name_are_called_in_their_order(process: Process) -> None:
    calls: list[Any] = []
    Hooks([noting("when_ready", calls, "a"), noting("when_ready", calls, "b")]).when_ready(process)
    assert [label for label, _ in calls] == ["a", "b"]


@pytest.mark.parametrize("call", [Hooks.on_starting, Hooks.when_ready])
@pytest.mark.parametrize("error", [(LookupError, "no\ndatabase"), (SystemExit, 3)])
def test_an_error_at_the_start_ends_it(
    call: Callable[[Hooks, Process], None], error: tuple[type[BaseException], Any], process: Process
) -> None:
    name = call.__name__
    with pytest.raises(ConfigError) as caught:
        call(Hooks([raising(name, error[0](error[1]))]), process)
    what = " ".join(f"{error[0].__name__}: {error[1]}".split())
    assert str(caught.value) == f"the hook {name} (conf.py:1) failed: {what}; mend it, or take it out"
    assert caught.value.details.count("  File ") == 1  # the hook's own


def test_our_own_error_at_the_start_stays_what_it_is(process: Process) -> None:
    with pytest.raises(ConfigError, match=r"^mine$"):
        Hooks([raising("on_starting", ConfigError("mine"))]).on_starting(process)


@pytest.mark.parametrize("name", ["post_fork", "worker_exit"])
@pytest.mark.parametrize("error", [LookupError("x"), SystemExit(3)])
def test_an_error_in_a_worker_is_logged_and_the_next_hook_is_called(
    name: str, error: BaseException, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []
    getattr(Hooks([raising(name, error), noting(name, calls)]), name)(process, process)
    assert calls
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        f"the hook {name} (conf.py:1) failed; the worker goes on without it: mend the hook, or take it out"
    )
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_worker_exit_is_called_after_an_error_too(process: Process) -> None:
    calls: list[Any] = []
    with pytest.raises(ZeroDivisionError), Hooks([noting("worker_exit", calls)]).worker(process, process):
        raise ZeroDivisionError
    assert calls


def test_ctrl_c_in_a_hook_is_for_the_program(process: Process) -> None:
    with pytest.raises(KeyboardInterrupt):
        Hooks([raising("post_fork", KeyboardInterrupt())]).post_fork(process, process)


def test_without_hooks_the_app_stays_what_it_is(process: Process) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        return []

    assert Hooks([noting("post_fork", [])]).around(app, process) is app
