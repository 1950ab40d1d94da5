"""local: what each green thread and each OS thread has for itself."""

from __future__ import annotations

import gc
import weakref

import pytest
from greenlet import getcurrent

from greenserve_hub import sleep, spawn
from greenserve_hub.greenthreads.locals import forget_locals, local
from greenserve_hub.osthreads.threads import execute

pytestmark = pytest.mark.no_hub


def test_each_thread_has_its_own():
    mine = local()
    mine.value = "main"

    def other(name: str) -> list[str]:
        seen = [getattr(mine, "value", "nothing")]
        mine.value = name
        sleep()
        return [*seen, mine.value, *vars(mine)]

    greens = [spawn(other, name) for name in "ab"]
    assert [green.wait() for green in greens] == [["nothing", "a", "value"], ["nothing", "b", "value"]]
    assert execute(other, "OS thread") == ["nothing", "OS thread", "value"]
    assert mine.value == "main"
    assert vars(mine) == {"value": "main"}
    del mine.value
    with pytest.raises(AttributeError, match="value"):
        mine.value  # noqa: B018
    with pytest.raises(AttributeError):
        del mine.value


def test_a_subclass_is_made_in_each_thread_with_the_same_arguments():
    class Mine(local):
        shared = "class"
        __slots__ = ("slot",)

        def __init__(self, start: int, step: int = 1) -> None:
            self.count = start
            self.step = step

        def next(self) -> int:
            self.count += self.step
            return self.count

        @property
        def doubled(self) -> int:
            return self.count * 2

    mine = Mine(10, step=5)
    mine.slot = "all threads see it"
    assert mine.next() == 15
    assert spawn(mine.next).wait() == 15
    assert spawn(lambda: (mine.doubled, mine.shared, mine.slot)).wait() == (20, "class", "all threads see it")
    mine.shared = "instance"
    assert (mine.doubled, mine.shared) == (30, "instance")
    assert spawn(lambda: mine.shared).wait() == "class"


def test_arguments_that_nobody_takes():
    with pytest.raises(TypeError, match="Initialization arguments"):
        local(1)
    with pytest.raises(TypeError, match="Initialization arguments"):
        local(a=1)


def test_the_dictionary_is_read_only():
    mine = local()
    with pytest.raises(AttributeError, match="read-only"):
        mine.__dict__ = {}
    with pytest.raises(AttributeError, match="read-only"):
        del mine.__dict__


def test_values_go_with_their_thread():
    class Value:
        pass

    mine = local()

    def run() -> weakref.ref[Value]:
        mine.value = Value()
        return weakref.ref(mine.value)

    green = spawn(run)
    value = green.wait()
    sleep()
    del green
    assert not hasattr(mine, "value")  # the last one's dictionary is let go of when another asks
    gc.collect()
    assert value() is None


def test_values_go_with_the_local_also_in_a_cycle():
    class Value:
        pass

    mine = local()
    mine.value = value = Value()
    value.local = mine
    seen = weakref.ref(value)
    del mine, value
    gc.collect()
    assert seen() is None


def test_a_value_that_leads_back_to_its_thread_can_be_let_go_of():
    mine = local()
    mine.thread = getcurrent()
    forget_locals(getcurrent())
    assert vars(mine) == {}


def test_a_property_that_waits_sees_its_own_thread_afterwards():
    class Mine(local):
        @property
        def slow(self) -> str:
            sleep()
            return self.name

    mine = Mine()

    def ask(name: str) -> str:
        mine.name = name
        return mine.slow

    greens = [spawn(ask, name) for name in "abc"]
    assert [green.wait() for green in greens] == ["a", "b", "c"]
