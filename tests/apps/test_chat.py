"""apps/chat without a browser: what is refused, who is where, what is kept; and the page's files through the server.

tests/apps/browsers/test_chat.py has two browsers that talk.
"""

from __future__ import annotations

import json
import re
import socket
from urllib.parse import urlsplit

import pytest
import requests
from apps.chat import protocol, rooms
from apps.chat.rooms import EMPTY_SECONDS, HISTORY, House
from apps.chat.routes import FILES, Chat
from apps.chat.visitors import BURST, MOST_STRIKES, RATE, Visitor
from apps.demo import app as demo
from tests.support.servers.running import serving
from tests.support.times import PATIENCE
from wsproto import ConnectionType, WSConnection
from wsproto.events import CloseConnection, RejectConnection, Request, TextMessage

from greenserve import WebSocketClosed


class FakeSocket:
    """A WebSocket that keeps what it was told."""

    on_message = on_close = None

    def __init__(self):
        self.sent = []
        self.closed = False
        self.close_code = None

    def send(self, message):
        if self.closed:
            raise WebSocketClosed(1006, "")
        self.sent.append(json.loads(message))

    def close(self, code=1000, reason=""):
        self.closed = True
        self.close_code = code

    def heard(self, kind=None):
        """What came since it was last asked, of one kind or of all."""
        sent, self.sent = self.sent, []
        return [one for one in sent if kind in (None, one["type"])]


class FakeRoom(set):
    join = set.add
    leave = set.discard

    def send(self, message):
        for ws in self:
            if not ws.closed:
                ws.send(message)


class World:
    """A house on a clock that the test moves, and its visitors."""

    def __init__(self):
        self.now = 0.0
        self.date = 1000.0
        self.due = []
        self.house = House(
            clock=lambda: self.now,
            calendar=lambda: self.date,
            broadcast=FakeRoom,
            later=lambda seconds, function: self.due.append((self.now + seconds, function)),
        )
        self.sockets = 0

    def connect(self):
        ws = FakeSocket()
        Visitor(self.house, ws)
        return ws

    def pass_by(self, seconds):
        self.now += seconds
        self.date += seconds
        due, self.due = self.due, [one for one in self.due if one[0] > self.now]
        for at, function in due:
            if at <= self.now:
                function()

    def visitor(self, name="Ada", room="lobby", tab=None, after=0):
        """One that has joined, and its welcome."""
        self.sockets += 1
        ws = self.connect()
        tell(ws, "join", room=room, name=name, tab=tab or f"tab-of-visitor-{self.sockets:03}", after=after)
        (answer,) = ws.heard()
        return ws, answer


@pytest.fixture
def world():
    return World()


def tell(ws, kind, **fields):
    ws.on_message(json.dumps({"type": kind, **fields}))


def say(ws, text, key=None):
    say.count = getattr(say, "count", 0) + 1
    tell(ws, "say", text=text, key=key or f"key-of-a-message-{say.count:05}")


def end(ws):
    """As the server does when a connection is over."""
    ws.closed = True
    ws.on_close()


# Rooms and presence


def test_welcomes_with_who_is_here_and_tells_them(world):
    ada, welcome = world.visitor("Ada")
    assert welcome == {
        "type": "welcome",
        "room": "lobby",
        "name": "Ada",
        "you": 1,
        "people": [[1, "Ada"]],
        "history": [],
        "missed": False,
        "rooms": [["lobby", 1]],
    }
    grace, welcome = world.visitor("Grace")
    assert welcome["people"] == [[1, "Ada"], [2, "Grace"]]
    assert ada.heard() == [{"type": "joined", "number": 2, "name": "Grace"}]
    end(grace)
    assert ada.heard() == [{"type": "left", "number": 2, "name": "Grace"}]


def test_a_message_goes_to_everyone_in_the_room_and_to_no_one_else(world):
    (ada, _), (grace, _), (other, _) = (
        world.visitor("Ada"),
        world.visitor("Grace"),
        world.visitor("Eve", room="tea"),
    )
    ada.heard()
    say(ada, "hello", "0123456789abcdef")
    expected = {
        "type": "message",
        "id": 1_000_000,
        "name": "Ada",
        "text": "hello",
        "key": "0123456789abcdef",
    }
    assert ada.heard() == grace.heard() == [expected]
    assert other.heard() == []


def test_two_tabs_of_one_name_are_told_apart(world):
    names = [world.visitor(name)[1]["name"] for name in ("Ada", "ada", "Ada (2)", "Ada", "Ada")]
    assert names == ["Ada", "ada (2)", "Ada (2) (2)", "Ada (3)", "Ada (4)"]


def test_a_number_that_is_free_again_is_given_again(world):
    world.visitor("Ada")
    second, _ = world.visitor("Ada")
    end(second)
    assert world.visitor("Ada")[1]["name"] == "Ada (2)"


def test_changes_the_room(world):
    (ada, _), (grace, _) = world.visitor("Ada"), world.visitor("Grace", room="tea")
    tell(ada, "join", room="tea", name="Ada", tab="0123456789abcdef", after=0)
    assert [one["name"] for one in grace.heard("joined")] == ["Ada"]
    say(ada, "from tea")
    assert [one["text"] for one in grace.heard("message")] == ["from tea"]
    assert world.house.census() == [("lobby", 0), ("tea", 2)]


def test_changes_the_name(world):
    (ada, _), (grace, _) = world.visitor("Ada", tab="0123456789abcdef"), world.visitor("Grace")
    tell(ada, "join", room="lobby", name="Countess", tab="0123456789abcdef", after=0)
    assert ada.heard("welcome")[0]["people"] == [[2, "Grace"], [3, "Countess"]]
    assert [(one["type"], one["name"]) for one in grace.heard()] == [("left", "Ada"), ("joined", "Countess")]


def test_one_connection_is_one_member_whatever_it_calls_its_tab(world):
    ada, _ = world.visitor("Ada")
    tell(ada, "join", room="lobby", name="Ada", tab="another-tab-it-says", after=0)
    assert ada.heard("welcome")[0]["people"] == [[2, "Ada"]]
    say(ada, "once")
    assert [one["text"] for one in ada.heard("message")] == ["once"]


def test_a_page_that_comes_back_first_takes_its_old_place(world):
    (old, _), (grace, _) = world.visitor("Ada", tab="0123456789abcdef"), world.visitor("Grace")
    new, welcome = world.visitor("Ada", tab="0123456789abcdef")
    assert (welcome["you"], welcome["name"], len(welcome["people"])) == (1, "Ada", 2)
    assert old.closed
    end(old)
    assert grace.heard() == [], "nobody has come or gone"
    say(new, "back")
    assert [one["text"] for one in grace.heard()] == ["back"]


def test_a_room_has_a_last_place(world, monkeypatch):
    monkeypatch.setattr(rooms, "MOST_MEMBERS", 2)
    world.visitor("Ada", tab="0123456789abcdef")
    world.visitor("Grace")
    ws, answer = world.visitor("Eve")
    assert (answer["code"], answer["about"]) == ("full", "join")
    tell(ws, "join", room="tea", name="Eve", tab="0123456789abcdef", after=0)
    assert ws.heard("welcome"), "the refused one can go elsewhere"
    assert world.visitor("Ada", tab="0123456789abcdef")[1]["type"] == "welcome", "who is in keeps the place"


def test_whoever_is_refused_elsewhere_stays(world, monkeypatch):
    monkeypatch.setattr(rooms, "MOST_ROOMS", 1)
    (ada, _), (grace, _) = world.visitor("Ada"), world.visitor("Grace")
    ada.heard()
    tell(ada, "join", room="tea", name="Ada", tab="0123456789abcdef", after=0)
    assert ada.heard()[0]["code"] == "rooms"
    say(ada, "still here")
    assert [one["text"] for one in grace.heard()] == ["still here"]


def test_there_are_so_many_rooms_and_old_empty_ones_make_way(world, monkeypatch):
    monkeypatch.setattr(rooms, "MOST_ROOMS", 2)
    world.visitor(room="lobby")
    gone, _ = world.visitor(room="tea")
    end(gone)
    assert world.visitor(room="cake")[1]["code"] == "rooms"
    world.pass_by(EMPTY_SECONDS)
    assert world.visitor(room="cake")[1]["code"] == "rooms", "not yet"
    world.pass_by(1)
    assert world.visitor(room="cake")[1]["rooms"] == [["lobby", 1], ["cake", 1]]


def test_a_room_that_is_empty_for_a_moment_keeps_its_history(world):
    ada, _ = world.visitor("Ada")
    say(ada, "anyone?")
    end(ada)
    world.pass_by(EMPTY_SECONDS)
    assert [one["text"] for one in world.visitor("Grace")[1]["history"]] == ["anyone?"]


def test_tells_everyone_of_the_rooms_once_a_second(world):
    ada, _ = world.visitor("Ada")
    for number in range(20):
        world.visitor("Eve", room=f"room {number}")
    assert ada.heard("rooms") == []
    world.pass_by(1)
    (told,) = ada.heard("rooms")
    assert len(told["rooms"]) == 21
    world.pass_by(5)
    assert ada.heard("rooms") == [], "nothing has changed"
    world.visitor("Eve")
    world.pass_by(1)
    assert ada.heard("rooms")[0]["rooms"][0] == ["lobby", 2]


# History


def test_a_newcomer_gets_the_last_messages(world):
    ada, _ = world.visitor("Ada")
    for number in range(HISTORY + 10):
        world.pass_by(1)
        say(ada, str(number))
    _, welcome = world.visitor("Grace")
    assert [one["text"] for one in welcome["history"]] == [str(n) for n in range(10, HISTORY + 10)]
    assert welcome["missed"] is False, "who was never here has missed nothing"


def test_who_comes_back_gets_what_it_missed(world):
    ada, _ = world.visitor("Ada")
    for number in range(3):
        say(ada, str(number))
    last = ada.heard("message")[0]["id"]
    assert [one["text"] for one in world.visitor("Grace", after=last)[1]["history"]] == ["1", "2"]
    assert world.visitor("Grace", after=last + 2)[1]["history"] == []


def test_who_comes_back_too_late_is_told_that_something_is_missing(world):
    ada, _ = world.visitor("Ada")
    say(ada, "first")
    first = ada.heard("message")[0]["id"]
    for missing in range(HISTORY + 1):
        assert world.visitor("Grace", after=first)[1]["missed"] is (missing > HISTORY)
        world.pass_by(1)
        say(ada, "more")
    assert world.visitor("Grace", after=first)[1]["missed"]


def test_ids_grow_when_the_clock_does_not(world):
    ada, _ = world.visitor("Ada")
    say(ada, "one")
    world.date -= 500
    say(ada, "two")
    one, two = ada.heard("message")
    assert two["id"] == one["id"] + 1


def test_an_id_of_the_future_gets_all_there_is(world):
    ada, _ = world.visitor("Ada")
    say(ada, "one")
    assert len(world.visitor("Grace", after=2**50)[1]["history"]) == 1


def test_what_is_said_again_is_not_said_twice(world):
    (ada, _), (grace, _) = world.visitor("Ada"), world.visitor("Grace")
    say(ada, "hello", "0123456789abcdef")
    ada.heard()
    say(ada, "hello", "0123456789abcdef")
    assert [one["key"] for one in ada.heard()] == ["0123456789abcdef"], "it is told that it was heard"
    assert len(grace.heard("message")) == 1
    assert len(world.visitor("Eve")[1]["history"]) == 1


# What is refused


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nonsense",
        "[]",
        '"join"',
        "null",
        "{}",
        '{"type": 1}',
        '{"type": "shout"}',
        '{"type": ["say"]}',
        "[" * 30_000,
        "9" * 10_000,
        b'{"type": "say"}',
        b"\xff",
        '{"type": "say"}',
        '{"type": "say", "text": 1, "key": "0123456789abcdef"}',
        '{"type": "say", "text": "x"}',
        '{"type": "say", "text": "x", "key": "short"}',
        '{"type": "say", "text": "x", "key": "spaces and the like"}',
        '{"type": "join"}',
        '{"type": "join", "name": "Ada", "tab": "x", "room": "lobby"}',
        '{"type": "join", "name": "Ada", "tab": "0123456789abcdef", "room": null}',
        '{"type": "join", "name": "Ada", "tab": "0123456789abcdef", "room": "lobby", "after": "1"}',
        '{"type": "join", "name": "Ada", "tab": "0123456789abcdef", "room": "lobby", "after": true}',
        '{"type": "join", "name": "Ada", "tab": "0123456789abcdef", "room": "lobby", "after": -1}',
        '{"type": "join", "name": "Ada", "tab": "0123456789abcdef", "room": "lobby", "after": 1e999}',
        '{"type": "join", "name": "Ada", "tab": "0123456789abcdef", "room": "lobby", "after": NaN}',
    ],
)
def test_tells_what_is_wrong_with_a_message_and_goes_on(world, message):
    ada, _ = world.visitor("Ada")
    ada.on_message(message)
    (answer,) = ada.heard()
    assert (answer["type"], answer["code"]) == ("error", "malformed")
    assert answer["text"].endswith(".")
    say(ada, "still here")
    assert [one["text"] for one in ada.heard()] == ["still here"]


def test_an_error_names_what_it_is_about(world):
    ada, _ = world.visitor("Ada")
    tell(ada, "say", text="", key="0123456789abcdef")
    assert ada.heard() == [
        {
            "type": "error",
            "code": "empty",
            "text": "The message is empty.",
            "about": "say",
            "key": "0123456789abcdef",
        }
    ]
    tell(ada, "x" * 1000, key="y" * 1000)
    assert set(ada.heard()[0]) == {"type", "code", "text"}, "but does not repeat whatever it is told"


def test_who_is_in_no_room_says_nothing(world):
    ws = world.connect()
    say(ws, "hello")
    assert ws.heard()[0]["text"] == "Join a room first."
    end(ws)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("  Ada \t Lovelace\n", "Ada Lovelace"),
        ("A\u200bd\u202ea\x00\x1b[31m", "Ada[31m"),  # nothing invisible, nothing that turns the line
        ("\ud800Ada", "Ada"),  # half a character
        ("Ａｄａ", "Ada"),  # noqa: RUF001 - full width, on purpose
        ("\u3164Ada\u2800", "Ada"),
        ("א" * 32, "א" * 32),
        ("<b>Ada</b>", "<b>Ada</b>"),  # the page shows text as text
    ],
)
def test_cleans_names(world, given, name):
    assert world.visitor(given)[1]["name"] == name


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("", "empty"),
        (" \u200b\u202e ", "empty"),
        ("\u3164", "empty"),
        ("x" * 33, "long"),
        ("\ufdfa" * 30, "long"),
    ],
)
def test_refuses_names_that_are_none(world, given, code):
    assert world.visitor(given)[1]["code"] == code
    assert world.visitor("Ada", room=given)[1]["code"] == code


def test_names_of_rooms_know_no_case(world):
    assert world.visitor(room="  The LOBBY ")[1]["room"] == "the lobby"
    world.visitor(room="The Lobby")
    assert world.house.census() == [("the lobby", 2)]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (" two\r\nlines \n", "two\nlines"),
        ("a\x00b\x1bc\x7f", "abc"),
        ("\ud83d", None),
        ("👩\u200d🚀", "👩\u200d🚀"),  # a joiner is part of an emoji
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("x" * 2000, "x" * 2000),
    ],
)
def test_cleans_texts(world, given, text):
    ada, _ = world.visitor("Ada")
    say(ada, given)
    (answer,) = ada.heard()
    assert answer.get("code", answer["text"]) == ("empty" if text is None else text)


@pytest.mark.parametrize("text", ["x" * 2001, "x\n" * 40 + "x"])
def test_refuses_texts_that_are_too_long(world, text):
    ada, _ = world.visitor("Ada")
    say(ada, text)
    (answer,) = ada.heard()
    assert answer["code"] == "long"
    assert "2000 characters and 40 lines" in answer["text"]


def test_the_longest_message_fits_into_a_frame():
    longest = {"type": "say", "text": "😀" * protocol.MOST_TEXT, "key": "k" * 64}
    assert len(json.dumps(longest)) <= protocol.MOST_BYTES


# How fast


def test_one_client_cannot_flood(world):
    (ada, _), (grace, _) = world.visitor("Ada"), world.visitor("Grace")
    ada.heard()
    for number in range(BURST + 5):
        say(ada, str(number), f"a-key-to-find-again-{number:02}")
    assert len(grace.heard("message")) == BURST - 1  # joining was one
    refused = ada.heard("error")
    assert len(refused) == 6
    assert refused[0] == {
        "type": "error",
        "code": "fast",
        "text": "Too many messages at once. Wait for 0.5 s.",
        "about": "say",
        "key": "a-key-to-find-again-09",
        "retry": 0.5,
    }
    world.pass_by(1)
    for number in range(9, 12):
        say(ada, str(number), f"a-key-to-find-again-{number:02}")
    assert len(grace.heard("message")) == RATE
    say(grace, "others can")
    assert [one["text"] for one in grace.heard("message")] == ["others can"]


def test_a_rest_earns_no_more_than_the_burst(world):
    ada, _ = world.visitor("Ada")
    world.pass_by(10_000)
    for _ in range(BURST + 1):
        say(ada, "x")
    assert len(ada.heard("message")) == BURST


def test_nonsense_counts_too_and_who_never_stops_is_closed(world):
    ada, _ = world.visitor("Ada")
    for _ in range(BURST - 1 + MOST_STRIKES - 1):
        ada.on_message("nonsense")
    assert not ada.closed
    assert [one["code"] for one in ada.heard("error")].count("fast") == MOST_STRIKES - 1
    ada.on_message("nonsense")
    assert ada.close_code == 1008
    ada.on_message("nonsense")  # what was under way when it was closed


def test_what_is_said_to_someone_who_has_just_gone_is_no_error(world):
    (ada, _), (grace, _) = world.visitor("Ada"), world.visitor("Grace")
    ada.closed = True
    world.house.rooms["lobby"].broadcast.leave(ada)  # as greenserve.Room does when a member closes
    tell(ada, "join", room="lobby", name="Ada", tab="0123456789abcdef", after=0)
    ada.on_close()
    assert [one["type"] for one in grace.heard()] == ["left", "joined", "left"]


# The page


@pytest.fixture(scope="module", params=["alone", "in the demo"])
def url(request):
    with serving(Chat() if request.param == "alone" else demo) as server:
        yield server.url + ("" if request.param == "alone" else "/chat")


def get(url, **options):
    return requests.get(url, timeout=5, **options)


@pytest.mark.parametrize("path", FILES)
def test_serves_its_files(url, path):
    answer = get(url + path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == FILES[path][1]
    assert int(answer.headers["Content-Length"]) == len(answer.content) > 1000
    assert requests.head(url + path, timeout=5).content == b""


def test_loads_nothing_from_elsewhere_and_runs_nothing_inline(url):
    page = get(url + "/")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    everything = "".join(get(url + path).text for path in FILES)
    assert set(re.findall(r"https?://[^\s'\"]+", everything)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<[^>]+\son\w+=|<script>|\sstyle=", page.text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", everything)


def test_every_control_is_labelled_and_known_to_the_script(url):
    page, script = get(url + "/").text, get(url + "/script.js").text
    ids = set(re.findall(r'\bid="([\w-]+)"', page))
    assert set(re.findall(r'\$\("([\w-]+)"\)', script)) <= ids
    assert set(re.findall(r'(?:for|aria-labelledby)="([\w-]+)"', page)) <= ids
    for control in re.findall(r"<(?:input|textarea)[^>]*>", page):
        assert f'for="{re.search("id=.([a-z]+)", control)[1]}"' in page
    assert page.count('aria-live="polite"') + page.count('role="status"') + page.count('role="alert"') == 4


def test_what_the_page_allows_is_what_the_server_takes(url):
    page = get(url + "/").text
    assert f'id="name" maxlength="{protocol.MOST_NAME}"' in page
    assert f'id="text" rows="1" maxlength="{protocol.MOST_TEXT}"' in page


def test_answers_other_paths_and_methods(url):
    assert get(url + "/nothing").status_code == 404
    refused = requests.post(url + "/", timeout=5)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert get(url + "/ws").status_code == 426, "a WebSocket or nothing"


class Client:
    """A program that talks to the chat as its page does, by wsproto."""

    def __init__(self, url, **fields):
        where = urlsplit(url)
        self.sock = socket.create_connection((where.hostname, where.port), PATIENCE)
        self.ws = WSConnection(ConnectionType.CLIENT)
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        path = f"{where.path}/ws"
        self.sock.sendall(self.ws.send(Request(host=where.netloc, target=path, extra_headers=headers)))
        self.events = self.ws.events()
        self.opened = self.event()

    def event(self):
        """The next one; None at the end of the connection."""
        while (event := next(self.events, None)) is None:
            if not (data := self.sock.recv(65536)):
                return None
            self.ws.receive_data(data)
            self.events = self.ws.events()
        return event

    def hear(self, kind):
        """The next message of that type."""
        text = ""
        while True:
            event = self.event()
            text += event.data
            if event.message_finished:
                if (said := json.loads(text))["type"] == kind:
                    return said
                text = ""

    def say(self, kind, **fields):
        self.send(json.dumps({"type": kind, **fields}))

    def send(self, text):
        self.sock.sendall(self.ws.send(TextMessage(text)))

    def join(self, name):
        self.say("join", room="programs", name=name, tab=f"the-tab-of-{name:10}".replace(" ", "-"), after=0)
        return self.hear("welcome")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def test_programs_talk(url):
    with Client(url) as ada, Client(url) as grace:
        assert ada.join("Ada")["people"] == [[1, "Ada"]]
        assert grace.join("Grace")["people"] == [[1, "Ada"], [2, "Grace"]]
        assert ada.hear("joined")["name"] == "Grace"
        ada.say("say", text="Ada's", key="key-of-a-program")
        assert ada.hear("message") == grace.hear("message")
        assert ada.hear("rooms")["rooms"] == [["programs", 2]]
        grace.sock.close()
        assert ada.hear("left")["name"] == "Grace"


def test_a_message_larger_than_any_page_sends_closes(url):
    with Client(url) as ada:
        ada.join("Ada")
        ada.send("x" * (protocol.MOST_BYTES + 1))
        while not isinstance(event := ada.event(), CloseConnection):
            assert event is not None
        assert event.code == 1009


def test_the_page_of_another_site_is_not_let_in(url):
    with Client(url, Origin="https://elsewhere.example") as ada:
        assert isinstance(ada.opened, RejectConnection)
        assert ada.opened.status_code == 403


def test_the_demo_sends_on_to_the_slash():
    with serving(demo) as server:
        answer = get(server.url + "/chat", allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (308, server.url + "/chat/")
        assert get(server.url + "/chats").status_code == 404
        assert 'href="chat/"' in get(server.url).text
