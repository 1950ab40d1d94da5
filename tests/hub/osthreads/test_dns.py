"""dns: what the system's resolver says, asked without holding the hub."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.times import MS, PATIENCE, eventually

from greenserve_hub.greenio.connecting import create_connection
from greenserve_hub.greenio.sockets import GreenSocket
from greenserve_hub.greenthreads.greenthreads import kill, sleep, spawn
from greenserve_hub.greenthreads.timeouts import Timeout
from greenserve_hub.osthreads import dns


class Resolver:
    """In the place of the system's: answers when told to, and counts."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()
        self.answer: Any = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

    def __call__(self, *question: Any) -> Any:
        self.asked.append(question)
        self.gate.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def no_answers_kept() -> Iterator[None]:
    dns.clear_cache()
    yield
    dns.clear_cache()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(dns, "_getaddrinfo", resolver)
    yield resolver
    resolver.gate.set()
    eventually(lambda: not dns._under_way)


class TestAsTheSystemSays:
    @pytest.mark.parametrize(
        "question",
        [
            ("localhost", 80),
            ("localhost", "80", 0, socket.SOCK_STREAM),
            ("127.0.0.1", 80),
            ("::1", 443, socket.AF_INET6, socket.SOCK_STREAM),
            ("::1%1", 443),
            (None, 80, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE),
            (b"localhost", 80),
        ],
    )
    def test_getaddrinfo(self, question: tuple[Any, ...]) -> None:
        assert dns.getaddrinfo(*question) == socket.getaddrinfo(*question)

    @pytest.mark.parametrize(
        "question",
        [
            ("127.0.0.1", "no-such-service"),
            ("127.0.0.1", 80, socket.AF_INET6),
            ("localhost", 80, 0, 77),
            ("a..b", 80),
            ("x" * 70 + ".invalid", 80),
        ],
    )
    def test_its_errors(self, question: tuple[Any, ...]) -> None:
        with pytest.raises((OSError, UnicodeError)) as theirs:
            socket.getaddrinfo(*question)
        with pytest.raises(type(theirs.value)) as ours:
            dns.getaddrinfo(*question)
        assert ours.value.args == theirs.value.args

    def test_the_machines_own_name(self) -> None:
        def outcome(look_up: Callable[..., object]) -> object:
            try:
                return look_up(socket.gethostname(), None)
            except OSError as error:  # not every machine, and no chroot, knows itself
                return error.args

        assert outcome(dns.getaddrinfo) == outcome(socket.getaddrinfo)

    @pytest.mark.parametrize(
        ("ours", "theirs", "question"),
        [
            (dns.gethostbyname, socket.gethostbyname, ("localhost",)),
            (dns.gethostbyname, socket.gethostbyname, ("127.0.0.9",)),
            (dns.gethostbyname_ex, socket.gethostbyname_ex, ("localhost",)),
            (dns.gethostbyaddr, socket.gethostbyaddr, ("127.0.0.1",)),
            (dns.getfqdn, socket.getfqdn, ()),
            (dns.getnameinfo, socket.getnameinfo, (("127.0.0.1", 80), 0)),
            (
                dns.getnameinfo,
                socket.getnameinfo,
                (("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
            ),
        ],
    )
    def test_its_kin(
        self, ours: Callable[..., Any], theirs: Callable[..., Any], question: tuple[Any, ...]
    ) -> None:
        assert ours(*question) == theirs(*question)


class TestWaiting:
    def test_the_hub_goes_on(self, resolver: Resolver) -> None:
        resolver.gate.clear()
        asking = spawn(dns.getaddrinfo, "slow.example", 80)
        sleep(MS)
        assert not asking.dead
        resolver.gate.set()
        assert asking.wait() == resolver.answer

    def test_many_questions_at_once(self, resolver: Resolver) -> None:
        resolver.gate.clear()
        asking = [spawn(dns.getaddrinfo, f"{n}.example", 80) for n in range(40)]
        sleep()
        eventually(lambda: len(resolver.asked) == 16)
        sleep(MS)
        assert len(resolver.asked) == 16, "the limit"
        resolver.gate.set()
        for one in asking:
            one.wait()
        assert len(resolver.asked) == 40

    def test_one_question_of_many_is_asked_once(self, resolver: Resolver) -> None:
        resolver.gate.clear()
        asking = [spawn(dns.getaddrinfo, "x.example", 80) for _ in range(50)]
        sleep()
        resolver.gate.set()
        answers = [one.wait() for one in asking]
        assert len(resolver.asked) == 1
        assert answers[0] is not answers[1], "each may change its own"

    def test_the_first_to_ask_may_give_up(self, resolver: Resolver) -> None:
        resolver.gate.clear()
        first, second = spawn(dns.getaddrinfo, "x.example", 80), spawn(dns.getaddrinfo, "x.example", 80)
        sleep()
        kill(first)
        resolver.gate.set()
        assert second.wait() == resolver.answer

    def test_a_timeout_reaches_who_asks(self, resolver: Resolver) -> None:
        resolver.gate.clear()
        with Timeout(MS, False) as timeout:
            dns.getaddrinfo("x.example", 80)
        assert not timeout.pending

    def test_an_address_needs_no_thread(self, resolver: Resolver) -> None:
        resolver.gate.clear()  # would wait
        assert dns.gethostbyname("127.0.0.1") == "127.0.0.1"
        assert resolver.asked == []


class TestTheCache:
    def test_an_answer_is_kept_for_a_while(self, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr(dns, "_clock", lambda: now[0])
        for _ in range(3):
            dns.getaddrinfo("x.example", 80)
        assert len(resolver.asked) == 1
        now[0] += dns.KEPT
        dns.getaddrinfo("x.example", 80)
        assert len(resolver.asked) == 2
        dns.clear_cache()
        dns.getaddrinfo("x.example", 80)
        assert len(resolver.asked) == 3

    def test_an_error_is_not(self, resolver: Resolver) -> None:
        resolver.answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        for _ in range(2):
            with pytest.raises(socket.gaierror, match="Temporary"):
                dns.getaddrinfo("x.example", 80)
        assert len(resolver.asked) == 2

    def test_each_who_asked_gets_an_error_of_its_own(self, resolver: Resolver) -> None:
        resolver.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        resolver.gate.clear()
        told: list[BaseException] = []

        def ask() -> None:
            try:
                dns.getaddrinfo("x.example", 80)
            except socket.gaierror as error:
                told.append(error)

        asking = [spawn(ask), spawn(ask)]
        sleep()
        resolver.gate.set()
        for one in asking:
            one.wait()
        assert told[0].args == told[1].args == resolver.answer.args
        assert told[0] is not told[1]
        assert len(resolver.asked) == 1

    def test_an_answer_that_is_changed_by_who_asked_stays_the_same(self, resolver: Resolver) -> None:
        dns.getaddrinfo("x.example", 80).clear()
        assert dns.getaddrinfo("x.example", 80) == resolver.answer

    def test_it_is_bounded(self, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dns, "_KEPT_MOST", 10)
        for n in range(35):
            dns.getaddrinfo(f"{n}.example", 80)
            assert len(dns._kept) <= 10


class TestSockets:
    @pytest.fixture
    def port(self) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener.getsockname()[1]

    def test_create_connection_waits_for_the_name_greenly(self, resolver: Resolver, port: int) -> None:
        resolver.answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        resolver.gate.clear()
        connecting = spawn(create_connection, ("name.example", port))
        sleep(MS)
        resolver.gate.set()
        connecting.wait().close()

    def test_connect_and_sendto_with_a_name(self, resolver: Resolver, port: int) -> None:
        with GreenSocket() as sock:
            sock.connect(("name.example", port))
        with GreenSocket() as sock:
            assert sock.connect_ex(("name.example", port)) == 0
        with GreenSocket(type=socket.SOCK_DGRAM) as one, GreenSocket(type=socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            one.sendto(b"x", ("name.example", other.getsockname()[1]))
            one.sendto(b"y", 0, ("name.example", other.getsockname()[1]))
            assert (other.recv(9), other.recv(9)) == (b"x", b"y")
        assert {question[0] for question in resolver.asked} == {"name.example"}

    def test_a_name_nobody_knows(self, resolver: Resolver) -> None:
        resolver.answer = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        with GreenSocket() as sock, pytest.raises(socket.gaierror, match="not known"):
            sock.connect(("no.example", 80))

    @pytest.mark.parametrize("address", [("127.0.0.1", -1), ("127.0.0.1",), "127.0.0.1", (5, 5)])
    def test_malformed_addresses_fail_as_ever(self, address: Any) -> None:
        with socket.socket() as theirs, pytest.raises((TypeError, OverflowError)) as error:
            theirs.connect(address)
        with GreenSocket() as ours, pytest.raises(type(error.value)):
            ours.connect(address)


def test_two_hundred_lookups_that_take_a_while_each(resolver: Resolver) -> None:
    begun: list[str] = []
    go_on = threading.Event()

    class Slow(Resolver):
        def __call__(self, host: str, *question: Any) -> Any:
            begun.append(host)
            go_on.wait(PATIENCE)
            return self.answer

    dns._getaddrinfo = Slow()
    calls = [spawn(dns.getaddrinfo, f"{n}.example", 80) for n in range(200)]
    with Timeout(PATIENCE):
        while len(begun) < 16:
            sleep(MS)
    sleep(MS)
    assert len(begun) == 16, "at once; the others wait for them"
    go_on.set()
    for call in calls:
        call.wait()
    assert len(begun) == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # forking with threads is what this is about
def test_the_child_of_a_fork_asks_anew(resolver: Resolver) -> None:
    resolver.gate.clear()
    asking = spawn(dns.getaddrinfo, "x.example", 80)
    sleep(MS)
    child = os.fork()
    if not child:
        try:
            resolver.gate.set()
            os._exit(0 if dns.getaddrinfo("x.example", 80) == resolver.answer else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    resolver.gate.set()
    asking.wait()
