"""batching: when the whole responses of a turn are sent, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from greenserve.net.serving.batching import Batch

pytestmark = pytest.mark.no_hub


class _Sender:
    def __init__(self, sent: list[bytes], error: Exception | None = None) -> None:
        self.sent = sent
        self.error = error
        self.is_broken = False

    def flush(self, first: bytes | memoryview, second: bytes | memoryview) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(bytes(first) + bytes(second))

    def broke(self) -> None:
        self.is_broken = True


def test_responses_of_a_turn_are_sent_at_its_end_in_their_order() -> None:
    batch, sent = Batch(lambda fn: None), list[bytes]()
    batch.begin(1.0)
    for name in (b"a", b"b", b"c"):
        batch.add((_Sender(sent), name, b"!"))
    assert sent == []
    batch.end()
    assert sent == [b"a!", b"b!", b"c!"]
    batch.end()
    assert len(sent) == 3


def test_outside_a_turn_each_is_sent_at_once() -> None:
    batch, sent = Batch(lambda fn: None), list[bytes]()
    batch.add((_Sender(sent), b"before", b""))
    batch.begin(1.0)
    batch.end()
    batch.add((_Sender(sent), b"after", b""))
    assert sent == [b"before", b"after"]


def test_after_an_app_has_held_the_hub_each_is_sent_at_once_for_a_second() -> None:
    batch, sent = Batch(lambda fn: None), list[bytes]()
    batch.begin(1.0)
    batch.add((_Sender(sent), b"waits", b""))
    batch.pause(1.5)
    assert sent == [b"waits"]
    batch.begin(2.4)
    batch.add((_Sender(sent), b"at once", b""))
    assert sent == [b"waits", b"at once"]
    batch.begin(2.5)
    batch.add((_Sender(sent), b"gathered", b""))
    assert len(sent) == 2


def test_an_error_of_one_costs_no_other() -> None:
    batch, sent = Batch(lambda fn: None), list[bytes]()
    broken = _Sender(sent, ValueError())
    batch.begin(1.0)
    batch.add((broken, b"", b""))
    batch.add((_Sender(sent), b"fine", b""))
    batch.end()
    assert (broken.is_broken, sent) == (True, [b"fine"])


def test_the_child_of_a_fork_sends_nothing() -> None:
    batch, sent = Batch(lambda fn: None), list[bytes]()
    batch.begin(1.0)
    batch.add((_Sender(sent), b"the parent's", b""))
    batch.clear()
    batch.end()
    assert sent == []


class _Held:
    def __init__(self, error: Exception | None = None) -> None:
        self.told = 0
        self.is_broken = False
        self._error = error

    def send_held(self) -> None:
        self.told += 1
        if self._error is not None:
            raise self._error

    def broke(self) -> None:
        self.is_broken = True


def test_what_is_held_is_told_once_that_its_app_has_given_way() -> None:
    batch, held = Batch(lambda fn: None), _Held()
    batch.begin(1.0)
    assert batch.hold(held)
    assert held.told == 0
    batch.gave_way()
    batch.gave_way()
    assert (held.told, batch.held) == (1, None)


def test_an_error_of_what_is_held_costs_no_other() -> None:
    batch, held = Batch(lambda fn: None), _Held(ValueError())
    batch.begin(1.0)
    batch.hold(held)
    batch.gave_way()
    assert held.is_broken


def test_nothing_is_held_outside_a_turn_nor_after_an_app_has_held_the_hub() -> None:
    batch, held = Batch(lambda fn: None), _Held()
    assert not batch.hold(held)
    batch.begin(1.0)
    batch.end()
    assert not batch.hold(held)
    batch.pause(1.5)
    batch.begin(2.4)
    assert not batch.hold(held)
    batch.gave_way()
    assert held.told == 0


def test_what_comes_behind_the_responses_of_a_turn_is_called_once_at_its_end() -> None:
    soon: list[Any] = []
    batch, seen = Batch(soon.append), list[bytes]()
    batch.begin(1.0)
    batch.call_behind(lambda: seen.append(b"behind"))
    batch.add((_Sender(seen), b"response", b""))
    batch.pause(1.0)
    batch.end()
    assert seen == [b"response"]
    batch.call_all()
    batch.call_all()
    assert seen == [b"response", b"behind"]
    assert soon == []


def test_outside_a_turn_it_is_called_in_the_next() -> None:
    soon: list[Any] = []
    batch = Batch(soon.append)
    batch.call_behind(list)
    assert soon == [list]


def test_the_child_of_a_fork_calls_nothing_behind() -> None:
    batch, seen = Batch(lambda fn: None), list[bytes]()
    batch.begin(1.0)
    batch.call_behind(lambda: seen.append(b"behind"))
    batch.clear()
    batch.call_all()
    assert seen == []
