"""unused_signals: what only a master can do is said in the log, and ends no process."""

from __future__ import annotations

import logging
import os
import signal

import pytest

from greenserve.process.system.unused_signals import UnusedSignals

NUMBERS = [signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU]


@pytest.mark.parametrize("number", NUMBERS)
def test_each_is_told_and_ends_nothing(number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "greenserve.error"), UnusedSignals():
        os.kill(os.getpid(), number)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{number.name} does not ")
    assert record.getMessage().endswith(
        ": a single process can't. Start it with --master, or with several --workers"
    )
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_handler_of_the_apps_own_stays() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    try:
        with UnusedSignals():
            os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGUSR2)
        assert heard == [signal.SIGUSR2] * 2
    finally:
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)


def test_one_that_the_app_takes_meanwhile_is_its_own() -> None:
    heard: list[int] = []
    try:
        with UnusedSignals():
            signal.signal(signal.SIGHUP, lambda number, frame: heard.append(number))
        os.kill(os.getpid(), signal.SIGHUP)
        assert heard == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_the_child_of_a_fork_has_its_default_actions() -> None:
    with UnusedSignals():
        child = os.fork()
        if child == 0:
            os._exit(0 if all(signal.getsignal(number) is signal.SIG_DFL for number in NUMBERS) else 1)
        assert os.waitpid(child, 0)[1] == 0
