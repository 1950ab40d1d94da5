from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import textwrap
import threading
import time
import weakref

import pytest
from greenlet import GreenletExit, getcurrent, greenlet
from tests.support.programs.commands import run_python

from greenserve_hub.errors import Deadlock, HubError
from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn, spawn_n
from greenserve_hub.loop.current import get_hub, set_hub, use_hub
from greenserve_hub.loop.hub import Hub
from greenserve_hub.loop.parking import Waiter, WaitQueue
from greenserve_hub.pollers.choosing import available_pollers, make_poller
from greenserve_hub.sync.events import Event
from greenserve_hub.testing import FakeClock, JumpingPoller, wait_all_blocked


@pytest.fixture
def pair():
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def in_a_thread(fn):
    """Call `fn` in an OS thread of its own; its result or its exception."""
    result = []

    def run() -> None:
        try:
            result.append(fn())
        except BaseException as error:
            result.append(error)
        finally:
            hub = set_hub(None)
            if hub is not None:
                hub.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


# A turn -------------------------------------------------------------------------------------------------


def test_a_turn_runs_what_is_ready_then_deadlines_then_sockets(clock, pair):
    hub, order = get_hub(), []
    descriptor = hub.open_descriptor(pair[0].fileno())
    wait_all_blocked()  # the edges of a fresh registration
    descriptor.on_readable(lambda: order.append("socket"))
    pair[1].send(b"x")
    hub.call_after(0, order.append, "deadline")
    hub.call_soon(order.append, "ready")
    sleep()  # this green thread itself runs in the first part of a turn
    assert order == ["deadline", "socket", "ready"]
    descriptor.close()


def test_what_becomes_ready_runs_in_the_next_turn():
    hub, order = get_hub(), []

    def first() -> None:
        order.append("first")
        hub.call_soon(order.append, "next turn")

    hub.call_soon(first)
    hub.call_soon(order.append, "second")
    sleep()
    assert order == ["first", "second"]
    sleep()
    assert order == ["first", "second", "next turn"]


def test_one_that_is_always_ready_keeps_neither_deadlines_nor_sockets_waiting(pair):
    hub, told = get_hub(), []
    descriptor = hub.open_descriptor(pair[0].fileno())
    wait_all_blocked()
    descriptor.on_readable(lambda: told.append("socket"))
    hub.call_after(0, told.append, "deadline")
    pair[1].send(b"x")
    for _ in range(3):
        sleep()
    assert sorted(told) == ["deadline", "socket"]
    descriptor.close()


def test_a_deadline_that_is_armed_again_at_once_keeps_nobody_waiting(clock):
    hub, count = get_hub(), []

    def again() -> None:
        count.append(1)
        deadline.arm(clock())

    deadline = hub.make_deadline(again)
    deadline.arm(clock())
    for _ in range(5):
        sleep()
    assert 4 <= len(count) <= 6  # once a turn; on a clock that stands still it would be for ever
    deadline.cancel()


def test_call_after_takes_its_time_and_can_be_cancelled(clock):
    hub, order = get_hub(), []
    began = clock()
    hub.call_after(2, lambda: order.append(("b", clock() - began)))
    hub.call_after(1, lambda: order.append(("a", clock() - began)))
    hub.call_after(1.5, order.append, "never").cancel()
    sleep(3)
    assert order == [("a", 1), ("b", 2)]


def test_now_is_the_time_of_the_last_poll(clock):
    hub = get_hub()
    sleep(5)
    assert hub.now == clock()


def test_no_poller_is_asked_to_wait_longer_than_it_can():
    asked = []

    class Poller(JumpingPoller):
        def poll(self, seconds):
            asked.append(seconds or 0)
            return super().poll(seconds)

    clock = FakeClock()
    hub = Hub(Poller(make_poller(), clock), clock)
    before = set_hub(hub)
    sleep(100 * 86400)  # past the 24 days that fit into an int of milliseconds
    set_hub(before)
    assert clock() == 1000 + 100 * 86400
    assert max(asked) <= 86400
    hub.close()


def test_waiting_takes_no_processor_time():
    began = time.process_time()
    sleep(0.1)
    assert time.process_time() - began < 0.05


# Errors in callbacks --------------------------------------------------------------------------------------


def fail(text: str) -> None:
    raise ValueError(text)


def take(errors: list[BaseException]) -> list[str]:
    texts = [str(error) for error in errors]
    errors.clear()
    return texts


def test_an_error_in_a_ready_call_harms_no_other(errors):
    hub, told = get_hub(), []
    for number in range(3):
        hub.call_soon(fail, f"error {number}")
        hub.call_soon(told.append, number)
    sleep()
    assert told == [0, 1, 2]
    assert take(errors) == ["error 0", "error 1", "error 2"]


def test_an_error_in_a_deadline_harms_no_other(errors, clock):
    hub, told = get_hub(), []
    for number in range(3):
        hub.call_after(1, fail, f"error {number}")
        hub.call_after(1, told.append, number)
    sleep(1)
    assert told == [0, 1, 2]
    assert take(errors) == ["error 0", "error 1", "error 2"]


def test_an_error_in_a_readiness_harms_no_other(errors):
    hub, told = get_hub(), []
    pairs = [socket.socketpair() for _ in range(6)]
    descriptors = [hub.open_descriptor(mine.fileno()) for mine, _ in pairs]
    wait_all_blocked()
    for number, descriptor in enumerate(descriptors):
        if number % 2:
            descriptor.on_readable(lambda number=number: fail(f"error {number}"))
        else:
            descriptor.on_readable(lambda: told.append(1))
    for _, other in pairs:
        other.send(b"x")
    sleep()
    assert len(told) == 3
    assert sorted(take(errors)) == ["error 1", "error 3", "error 5"]
    for descriptor, ends in zip(descriptors, pairs, strict=True):
        descriptor.close()
        for end in ends:
            end.close()


def test_errors_without_end_keep_neither_deadlines_nor_sockets_waiting(errors, pair):
    hub, told = get_hub(), []

    def fail_again() -> None:
        if len(told) < 2:
            hub.call_soon(fail_again)
        fail("again")

    descriptor = hub.open_descriptor(pair[0].fileno())
    wait_all_blocked()
    descriptor.on_readable(lambda: told.append("socket"))
    pair[1].send(b"x")
    hub.call_after(0, told.append, "deadline")
    hub.call_soon(fail_again)
    for _ in range(4):
        sleep()
    assert sorted(told) == ["deadline", "socket"]
    assert set(take(errors)) == {"again"}
    descriptor.close()


def test_a_kill_is_no_error():
    def callback() -> None:
        raise GreenletExit

    get_hub().call_soon(callback)
    bare = spawn_n(sleep, 10)
    sleep()
    kill(bare)


def test_an_error_of_a_bare_green_thread_is_told(errors):
    spawn_n(fail, "bare")
    sleep()
    assert take(errors) == ["bare"]


def test_a_listener_that_fails_itself_goes_to_the_excepthook(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: seen.append(str(error)))
    get_hub().on_error = lambda kind, error, trace: fail("the listener's")
    get_hub().call_soon(fail, "the callback's")
    sleep()
    assert seen == ["the listener's"]


def test_without_a_listener_errors_go_to_the_excepthook(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: seen.append((kind, str(error))))
    set_hub(None).close()
    get_hub().call_soon(fail, "told")
    sleep()
    assert seen == [(ValueError, "told")]


def test_ctrl_c_in_a_green_thread_reaches_the_main_one_before_it_goes_on():
    def interrupted() -> None:
        raise KeyboardInterrupt

    spawn(interrupted)
    with pytest.raises(KeyboardInterrupt):
        sleep(0)
    sleep(0)  # its own turn, which was ready then, comes to nothing


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("start", [spawn, spawn_n, lambda fn: get_hub().call_soon(fn)])
def test_what_ends_the_program_is_raised_in_the_main_greenlet(kind, start):
    def end() -> None:
        raise kind("told")

    start(end)
    with pytest.raises(kind, match="told"):
        sleep(10)


def test_ctrl_c_while_the_hub_waits_is_raised_in_the_main_greenlet():
    other = spawn(sleep, 10)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    get_hub().call_soon(timer.start)  # not before the main greenlet waits
    with pytest.raises(KeyboardInterrupt):
        sleep(10)
    timer.join()
    assert not other.dead
    kill(other)


# Deadlock -------------------------------------------------------------------------------------------------


def test_when_nothing_can_wake_the_program_it_says_so_and_names_who_waits():
    never = Event()
    green = spawn(never.wait)
    with pytest.raises(Deadlock) as caught:
        WaitQueue().park("the end of", "time")
    assert "\n  the main green thread: waiting: the end of time" in str(caught.value)
    assert f"\n  GreenThread {id(green):#x}: waiting: event" in str(caught.value)
    kill(green)


def test_after_a_deadlock_the_main_greenlet_can_go_on():
    event = Event()
    green = spawn(event.wait)
    with pytest.raises(Deadlock):
        green.wait()
    event.send("late")
    assert green.wait() == "late"


def test_a_main_greenlet_that_switched_by_hand_is_told_too():
    def wait() -> None:
        Event().wait()

    stray = greenlet(wait)
    with pytest.raises(Deadlock):
        stray.switch()
    kill(stray)


def test_who_waits_for_a_socket_is_no_deadlock(pair):
    hub = get_hub()
    event = Event()
    descriptor = hub.open_descriptor(pair[0].fileno())
    descriptor.on_readable(lambda: event.send("data"))
    threading.Timer(0.02, pair[1].send, (b"x",)).start()
    assert event.wait() == "data"
    descriptor.close()


def test_a_socket_that_nobody_waits_for_does_not_hide_a_deadlock(pair):
    descriptor = get_hub().open_descriptor(pair[0].fileno())
    with pytest.raises(Deadlock):
        Event().wait()
    descriptor.close()


# Other OS threads -----------------------------------------------------------------------------------------


def test_another_thread_calls_in_while_the_hub_waits():
    hub, event = get_hub(), Event()
    with hub.expecting_calls():
        threading.Timer(0.02, hub.call_from_thread, (event.send, "from outside")).start()
        assert event.wait() == "from outside"
    with pytest.raises(Deadlock):
        Event().wait()


def test_many_threads_call_in():
    hub, seen, done = get_hub(), [], Event()

    def note(item: object) -> None:
        assert getcurrent() is hub.greenlet
        seen.append(item)
        if len(seen) == 400:
            done.send()

    def visit(who: int) -> None:
        for number in range(100):
            hub.call_from_thread(note, (who, number))

    threads = [threading.Thread(target=visit, args=(who,)) for who in range(4)]
    with hub.expecting_calls():
        for thread in threads:
            thread.start()
        done.wait()
    for thread in threads:
        thread.join()
    for who in range(4):
        assert [number for visitor, number in seen if visitor == who] == list(range(100))


def test_a_signal_handler_may_call_in():
    hub, event = get_hub(), Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: hub.call_from_thread(event.send, "signal"))
    try:
        with hub.expecting_calls():
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            assert event.wait() == "signal"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_each_thread_has_a_hub_of_its_own():
    mine = get_hub()
    assert get_hub() is mine
    assert in_a_thread(lambda: get_hub() is mine) is False
    assert in_a_thread(lambda: spawn(lambda: threading.get_ident()).wait()) != threading.get_ident()


# A hub's own life -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", available_pollers())
def test_use_hub_chooses_the_poller(name):
    def run() -> tuple[str, bool]:
        hub = use_hub(name)
        sleep(0.001)
        return hub.poller.name, get_hub() is hub

    assert in_a_thread(run) == (name, True)


@pytest.mark.parametrize(
    ("name", "poller"),
    [(None, available_pollers()[0]), ("auto", available_pollers()[0]), ("selects", "select")],
)
def test_use_hub_knows_eventlets_names(name, poller):
    assert in_a_thread(lambda: use_hub(name).poller.name) == poller


def test_use_hub_refuses_a_wrong_name_and_a_hub_at_work():
    with pytest.raises(ValueError, match="choose one of auto"):
        use_hub("nosuch")
    green = spawn(sleep, 10)
    sleep()
    with pytest.raises(HubError, match="comes too late"):
        use_hub()
    kill(green)


def test_the_environment_chooses_the_poller(monkeypatch):
    name = available_pollers()[-1]
    monkeypatch.setenv("GREENSERVE_HUB", name)
    assert in_a_thread(lambda: get_hub().poller.name) == name


def test_closed_it_gives_everything_back():
    def run():
        hub = get_hub()
        sleep()
        fds = [hub.wakeup.fd]
        hub.close()
        hub.close()
        for fd in fds:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)
        assert not hub.greenlet
        hub.call_from_thread(print, "dropped")
        return weakref.ref(hub)

    gone = in_a_thread(run)
    gc.collect()
    assert gone() is None


def test_dropped_and_not_closed_it_is_left_as_it_stands():
    script = """
        import gc, weakref
        from greenserve_hub import Event, get_hub, sleep, spawn
        from greenserve_hub.loop.current import set_hub

        def wait() -> None:
            try:
                Event().wait()
            finally:
                print("never")

        spawn(wait)
        sleep()
        hub = weakref.ref(set_hub(None))
        sleep()
        gc.collect()
        print(hub() is not None)
    """
    assert run_script(script) == ("True\n", "", 0)


def test_closed_it_calls_nobody_any_more():
    def run() -> list[str]:
        hub, called = get_hub(), []
        sleep()
        waiter = Waiter(hub, "test")
        waiter.wake()
        hub.call_soon(called.append, "in the same turn")
        waiter.park()
        hub.close()
        return called

    assert in_a_thread(run) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_poller_and_a_wakeup_of_its_own():
    script = """
        import os, socket, sys
        from greenserve_hub.sync.events import Event
        from greenserve_hub.greenthreads.greenthreads import sleep, spawn
        from greenserve_hub.loop.current import get_hub

        hub = get_hub()
        mine, other = socket.socketpair()
        mine.setblocking(False)
        descriptor = hub.open_descriptor(mine.fileno())
        event = Event()
        descriptor.on_readable(lambda: event.send(mine.recv(10)))
        sleep()
        pid = os.fork()
        if pid == 0:
            assert descriptor.closed
            descriptor = hub.open_descriptor(mine.fileno())
            descriptor.on_readable(lambda: event.send(mine.recv(10)))
            hub.call_from_thread(lambda: other.send(b"child"))
            assert event.wait() == b"child"
            descriptor.close()  # would take away the parent's registration if the epoll were shared
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        other.send(b"parent")
        assert event.wait() == b"parent"
        for one in mine, other:
            one.close()
        print("both")
    """
    assert run_script(script) == ("both\n", "", 0)


def run_script(script: str) -> tuple[str, str, int]:
    """What it printed and told, and its status."""
    done = run_python("-W", "error", "-c", textwrap.dedent(script))
    return done.stdout, done.stderr, done.returncode
