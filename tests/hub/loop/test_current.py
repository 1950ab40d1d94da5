"""use_hub: what does not keep it from choosing another poller, and goes along."""

from __future__ import annotations

import pytest
from tests.support.programs.patched import run
from tests.support.times import MS

from greenserve_hub import HubError, Timeout, get_hub, sleep, spawn_after, use_hub
from greenserve_hub.loop.current import set_hub
from greenserve_hub.pollers.choosing import available_pollers


@pytest.fixture
def old(errors: list[BaseException]):
    """The hub that a test may leave."""
    before = get_hub()
    yield before
    get_hub().close()
    set_hub(before)


def test_a_timeout_of_who_asks_goes_along(old):
    timeout = Timeout(20 * MS)
    hub = use_hub("poll")
    assert hub is get_hub()
    assert hub is not old
    with pytest.raises(Timeout):
        sleep(10_000 * MS)
    assert not timeout.pending
    assert old.closed
    with Timeout(10_000 * MS) as timeout:
        use_hub("select")
        timeout.cancel()
    assert not len(get_hub().deadlines)


def test_anothers_time_is_work(old):
    green = spawn_after(10_000 * MS, sleep)
    with pytest.raises(HubError, match="comes too late"):
        use_hub("poll")
    assert get_hub() is old
    green.cancel()
    use_hub("poll")


CHILDREN = """
    import os
    from greenserve import HubError, Timeout, get_hub, listen, sleep, spawn, use_hub

    def child(when):
        pid = os.fork()
        if not pid:
            try:
                hub = use_hub("poll")
                green = spawn(lambda: (sleep(0.001), "runs")[1])
                print(when, hub.poller.name, green.wait(), flush=True)
                spawn(sleep, 10)
                sleep()
                use_hub("select")
            except HubError as error:
                print(str(error)[:26], flush=True)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)

    def forks():
        child("in a green thread")
        with Timeout(10):
            child("in a time limit")

    child("at once")
    sleep(0.001)
    child("after a wait")
    sleeper = spawn(sleep, 10)
    with listen(("127.0.0.1", 0)) as listener:
        accepting = spawn(listener.accept)
        sleep()
        child("beside others")
        spawn(forks).wait()
        accepting.kill()
    sleeper.kill()
"""


@pytest.mark.parametrize("hub", available_pollers())
@pytest.mark.parametrize("patch", [False, True])
def test_a_child_of_a_fork_may_choose(hub: str, patch: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GREENSERVE_HUB", hub)
    expected = []
    for when in ("at once", "after a wait", "beside others", "in a green thread", "in a time limit"):
        expected += [f"{when} poll runs", "use_hub() comes too late: "]
    assert run(CHILDREN, patch=patch).splitlines() == expected


def test_a_patched_program_may_choose_and_still_hears_of_signals():
    said = run(
        """
        import os, signal, time
        print(greenserve.use_hub("poll").poller.name)
        threads, native = greenserve.original("threading"), greenserve.original("time")
        came = []
        signal.signal(signal.SIGUSR1, lambda *_: came.append(1))

        def send():
            native.sleep(0.05)
            os.kill(os.getpid(), signal.SIGUSR1)

        threads.Thread(target=send).start()
        began = time.monotonic()
        signal.pause()
        print(came)
        """
    )
    assert said == "poll\n[1]\n"
