from __future__ import annotations

import pytest

from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn
from greenserve_hub.loop.current import get_hub
from greenserve_hub.sync.events import Event


def test_wait_gives_what_was_sent_as_often_as_asked():
    event = Event()
    green = spawn(event.wait)
    sleep()
    event.send("result")
    assert green.wait() == "result"
    assert event.wait() == "result"
    assert event.wait() == "result"


def test_the_sender_does_not_switch_and_waiters_go_on_in_their_order():
    event, order = Event(), []

    def wait(name: str) -> None:
        event.wait()
        order.append(name)

    for name in "abc":
        spawn(wait, name)
    sleep()
    event.send()
    assert order == []
    sleep()
    assert order == ["a", "b", "c"]


def test_a_second_send_is_an_error_until_reset():
    event = Event()
    event.send(1)
    for again in (event.send, event.send_exception):
        with pytest.raises(AssertionError, match="sent a second time"):
            again(ValueError())
    assert event.wait() == 1
    event.reset()
    assert not event.ready()
    event.send(2)
    assert event.wait() == 2


def test_reset_of_a_fresh_one_is_an_error():
    with pytest.raises(AssertionError, match="without a send"):
        Event().reset()


def test_wait_returns_none_when_the_time_runs_out(clock):
    event = Event()
    began = clock()
    assert event.wait(3) is None
    assert clock() - began == 3
    assert event.wait(0) is None
    event.send(1)
    assert event.wait(3) == 1


def test_sent_in_time_it_is_no_timeout(clock):
    event = Event()
    get_hub().call_after(2, event.send, "in time")
    assert event.wait(3) == "in time"


@pytest.mark.parametrize(
    "throw",
    [
        (ValueError("no"),),
        (ValueError, "no"),
        (ValueError, ValueError("no")),
        (ValueError, ValueError("no"), None),
    ],
)
def test_send_exception_is_raised_in_all_who_wait(throw):
    event = Event()
    green = spawn(event.wait)
    sleep()
    event.send_exception(*throw)
    for wait in (green.wait, event.wait, event.poll, event.poll_exception):
        with pytest.raises(ValueError, match=r"^no$"):
            wait()


def test_send_exception_takes_a_class():
    event = Event()
    event.send_exception(KeyError)
    with pytest.raises(KeyError):
        event.wait()


def test_exc_may_be_an_exception_or_a_tuple():
    for exc in (KeyError("k"), (KeyError, "k")):
        event = Event()
        event.send(exc=exc)
        with pytest.raises(KeyError, match="k"):
            event.wait()


def test_what_it_tells_of_itself():
    event = Event()
    told = lambda: (event.ready(), event.has_result(), event.has_exception())  # noqa: E731  # asked four times
    assert told() == (False, False, False)
    assert (event.poll(7), event.poll_result(7), event.poll_exception(7)) == (7, 7, 7)
    assert "nothing sent" in repr(event)
    event.send(None)
    assert told() == (True, True, False)
    assert (event.poll(7), event.poll_result(7), event.poll_exception(7)) == (None, None, 7)
    event.reset()
    assert told() == (False, False, False)
    event.send_exception(KeyError("k"))
    assert told() == (True, False, True)
    assert event.poll_result(7) == 7
    assert "KeyError" in repr(event)
    event.reset()
    assert told() == (False, False, False)


def test_who_was_woken_gets_what_was_sent_then_even_after_a_reset():
    event = Event()
    green = spawn(event.wait)
    sleep()
    event.send("first")
    event.reset()
    event.send("second")
    assert green.wait() == "first"


def test_a_killed_waiter_harms_nobody():
    event = Event()
    first, second = spawn(event.wait), spawn(event.wait)
    sleep()
    kill(first)
    event.send(1)
    assert second.wait() == 1


def test_can_be_sent_from_a_callback_of_the_hub():
    event = Event()
    get_hub().call_soon(event.send, 1)
    assert event.wait() == 1
