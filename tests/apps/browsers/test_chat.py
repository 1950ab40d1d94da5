"""apps/chat in headless Chromium: two browsers that talk, over a server that is stopped and killed under them."""

from __future__ import annotations

import itertools
import json
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from apps.chat import Chat
from tests.support.clients.browsers import ENTER, MISSING, REASON, Browser, browsers
from tests.support.clients.relays import relaying
from tests.support.programs.commands import Command, command
from tests.support.servers.running import serving
from tests.support.times import eventually

# What a browser does with the page is the same on every Python.
pytestmark = [pytest.mark.skipif(MISSING, reason=REASON), pytest.mark.repository]

ROOT = Path(__file__).parents[3]
LAST = "#log > :last-child"
TEXTS = "#log .text"
UNSENT = "#unsent .text"
STATE = "#state"
PEOPLE = "#people li"
# Or the window's next page from that server would come back by itself; about:blank has nothing to forget.
FORGET = "try { sessionStorage.clear() } catch {}"
# The page would be connected again, and the button gone, before a slow test comes to press it.
NOT_BY_ITSELF = "const real = setTimeout; window.setTimeout = (work, ms) => real(work, ms + 600_000)"
PAGES = itertools.count()


class Server:
    """`greenserve apps.chat:app` as a process of its own, that comes back on the port it had."""

    def __init__(self) -> None:
        self.port = "0"
        self.stack = ExitStack()
        self.start()

    def start(self) -> None:
        arguments = ("-m", "greenserve", "apps.chat:app", "--bind", f"127.0.0.1:{self.port}")
        self.process: Command = self.stack.enter_context(
            command(*arguments, "--graceful-timeout", "5s", folder=ROOT)
        )
        self.port = self.process.until(r"listening at http://127.0.0.1:(\d+)")[1]

    def end(self, by: signal.Signals) -> None:
        self.process.signal(by)
        self.process.ended()
        self.stack.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


class Two(NamedTuple):
    ada: Browser
    grace: Browser
    server: Server


@pytest.fixture(scope="module")
def opened():
    server = Server()
    try:
        with browsers(2) as (ada, grace):
            yield Two(ada, grace, server)
    finally:
        server.stack.close()


@pytest.fixture
def two(opened, request):
    """Both have just joined a room that is this test's own. At the end nothing in the page has complained."""
    room = request.node.name[5:].replace("_", " ")[:32].strip()
    for browser, name in ((opened.ada, "Ada"), (opened.grace, "Grace")):
        come(browser, opened.server.url, name, room)
    opened.ada.until(LAST, "Grace joined")
    yield opened
    for browser in opened.ada, opened.grace:
        # What fails while the server is away is the test's own doing.
        complaints = [one for one in browser.complaints() if "WebSocket connection to" not in one]
        assert not complaints


def come(browser: Browser, url: str, name: str, room: str) -> None:
    """By keyboard alone: the first field has the focus, and Enter joins."""
    browser.script(FORGET)
    # Another query is another page: one that differs in its # alone would not be loaded again.
    browser.open(f"{url}?{next(PAGES)}#{room}")
    browser.paste(name)
    browser.enter()
    browser.until(STATE, "connected")


def leave(browser: Browser) -> None:
    """Off the page."""
    browser.script(FORGET)
    browser.open("about:blank")


def say(browser: Browser, text: str) -> None:
    """By keyboard alone: the message field has the focus."""
    browser.paste(text)
    browser.enter()


def waits(browser: Browser, why: str) -> None:
    """Wait until it says that it is cut off, and for how long; this can be missed, so it is looked for in between."""
    browser.until_true(
        "return RegExp(arguments[0]).test(document.getElementById('state').textContent)",
        rf"^{why}.*; next try in \d+ s$",
        or_else=lambda: f"the state is {browser.texts(STATE)}",
    )


def test_two_browsers_talk(two):
    two.ada.press("Hello, Grace" + ENTER)  # key by key
    two.grace.until(TEXTS, "Hello, Grace")
    say(two.grace, "Hello, Ada")
    for browser, names in (two.ada, ["You", "Grace"]), (two.grace, ["Ada", "You"]):
        browser.until(TEXTS, "Hello, Grace", "Hello, Ada")
        browser.until("#log .head b", *names)
        browser.until(UNSENT)


def test_each_sees_who_is_here(two):
    two.ada.until(PEOPLE, "Ada (you)", "Grace")
    two.grace.until(PEOPLE, "Ada", "Grace (you)")
    two.grace.click("#leave")
    two.ada.until(PEOPLE, "Ada (you)")
    two.ada.until(LAST, "Grace left")
    two.ada.until("#people-title", "Here now: 1")


def test_two_pages_of_one_name_are_told_apart(two):
    leave(two.grace)
    two.ada.until(PEOPLE, "Ada (you)")
    come(two.grace, two.server.url, "Ada", two.ada.texts("#room-title")[0])
    two.grace.until(PEOPLE, "Ada", "Ada (2) (you)")
    two.ada.until(PEOPLE, "Ada (you)", "Ada (2)")
    say(two.grace, "which one am I?")
    two.ada.until(f"{LAST} b", "Ada (2)")


def test_another_room_hears_nothing(two):
    two.grace.type("#other", "Another One" + ENTER)
    two.grace.until("#room-title", "another one")
    two.ada.until(LAST, "Grace left")
    say(two.ada, "for this room")
    two.ada.until(TEXTS, "for this room")
    say(two.grace, "for the other room")
    two.grace.until(TEXTS, "for the other room")
    two.ada.until(TEXTS, "for this room")
    assert two.grace.script("return location.hash") == "#another%20one", "a link to the room"
    two.ada.until("#rooms a[href='#another%20one'] .count", "1")
    two.ada.click("#rooms a[href='#another%20one']")
    two.ada.until(TEXTS, "for the other room")
    two.grace.until(PEOPLE, "Grace (you)", "Ada")
    two.ada.script("history.back()")
    two.ada.until(TEXTS, "for this room")


def test_a_late_joiner_sees_what_was_said(two):
    leave(two.grace)
    for text in "one", "two", "three":
        say(two.ada, text)
    two.ada.until(TEXTS, "one", "two", "three")
    come(two.grace, two.server.url, "Grace", two.ada.texts("#room-title")[0])
    two.grace.until(TEXTS, "one", "two", "three")
    two.grace.reload()
    two.grace.until(STATE, "connected")
    two.grace.until(TEXTS, "one", "two", "three")
    two.grace.until(PEOPLE, "Ada", "Grace (you)")


def test_html_in_a_message_is_text(two):
    attack = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    say(two.ada, attack)
    two.grace.until(TEXTS, attack)
    assert two.grace.script("return document.querySelectorAll('#log script, #log img').length") == 0
    assert two.grace.script("return document.title") != "taken"
    # And if the page's own script were to err, the policy would not.
    told = two.grace.script(
        "try { document.body.innerHTML = arguments[0] } catch (error) { return error.name }", attack
    )
    assert told == "TypeError"
    assert any("TrustedHTML" in one for one in two.grace.complaints())


def test_what_the_server_refuses_is_told_and_given_back(two):
    lines = "\n".join("x" * 41)
    two.ada.script("document.getElementById('text').value = arguments[0]", lines)
    two.ada.click("#say button")
    two.ada.until("#problem", "The message is too long: send up to 2000 characters and 40 lines at once.")
    assert two.ada.script("return document.getElementById('text').value") == lines
    two.ada.script("document.getElementById('text').value = ''")
    say(two.ada, "a short one")
    two.grace.until(TEXTS, "a short one")
    two.ada.until("#problem", "")


def test_who_types_too_fast_is_slowed_and_loses_nothing(two):
    texts = [str(number) for number in range(12)]
    two.ada.script(
        """for (const text of arguments[0]) {
            document.getElementById('text').value = text;
            document.getElementById('say').requestSubmit();
        }""",
        texts,
    )
    eventually(lambda: "Too many messages at once." in two.ada.texts("#problem")[0], "a word about it")
    two.grace.until(TEXTS, *texts)
    two.ada.until(TEXTS, *texts)
    two.ada.until(UNSENT)
    two.ada.until("#problem", "")


STATES = """
window.states = [];
const place = document.getElementById("state");
new MutationObserver(() => states.push(place.textContent)).observe(place, { childList: true });
"""


@pytest.mark.parametrize("restarts", [False, True], ids=["1001", "1012"])
def test_a_restart_is_told_apart_from_a_broken_line(two, restarts):
    """By its close code; the first try then comes at once, and those after it as after any failure."""
    with serving(Chat(), graceful_timeout=5) as server:
        come(two.grace, server.url + "/", "Grace", "lobby")
        two.grace.script(STATES)
        server.stop(restarts=restarts)
        waits(two.grace, "Not connected")
    states = two.grace.script("return states")
    assert states[:2] == ["The server restarts; next try in 1 s", "connecting…"]
    assert states[2].startswith("Not connected; next try in ")


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_restart_loses_nothing(two, by):
    say(two.ada, "before")
    two.grace.until(TEXTS, "before")
    two.server.end(by)
    for browser in two.ada, two.grace:
        waits(browser, "")
    say(two.ada, "while it was away")
    say(two.ada, "and another")
    two.ada.until(UNSENT, "while it was away", "and another")
    two.ada.until(TEXTS, "before")
    two.server.start()
    two.ada.script("document.getElementById('retry').click()")
    for browser in two.ada, two.grace:
        browser.until(STATE, "connected")
        browser.until(UNSENT)
        browser.until(TEXTS, "before", "while it was away", "and another")
    say(two.grace, "after")
    for browser in two.ada, two.grace:
        browser.until(TEXTS, "before", "while it was away", "and another", "after")


COMPARE = """
window.differed = [];
const look = () => {
  const list = document.querySelectorAll("#people li").length;
  const badge = document.querySelector("#rooms [aria-current] .count")?.textContent;
  const title = document.getElementById("people-title").textContent;
  const online = document.getElementById("state").dataset.state === "open";
  const now = online ? [String(list), `Here now: ${list}`] : [undefined, list ? `Here before: ${list}` : "Here"];
  if (badge !== now[0] || title !== now[1]) differed.push([online, list, badge, title]);
};
new MutationObserver(look).observe(document.querySelector("aside"), { childList: true, subtree: true });
"""


def test_who_is_here_is_said_in_one_voice_and_only_while_it_is_known(two):
    """The list, its title, and the badge of the room; also while the page is cut off, and when it comes back."""
    for browser in two.ada, two.grace:
        browser.until("#people-title", "Here now: 2")
        browser.script(COMPARE)
    two.server.end(signal.SIGKILL)
    for browser in two.ada, two.grace:
        browser.until("#people-title", "Here before: 2")
        browser.until("#rooms .count")
    two.server.start()
    for browser in two.ada, two.grace:
        browser.until("#people-title", "Here now: 2")  # by themselves, one of them first
    two.grace.click("#leave")
    two.ada.until(PEOPLE, "Ada (you)")
    two.ada.until("#rooms [aria-current] .count", "1")
    for browser in two.ada, two.grace:
        assert browser.script("return differed") == []


AGAIN = """
const [room, key] = arguments, again = new WebSocket(location.origin.replace("http", "ws") + "/ws");
again.onopen = () => {
  again.send(JSON.stringify({ type: "join", room, name: "Again", tab: "tab-of-the-repeater", after: 0 }));
  for (const [text, itsKey] of [["passed on", key], ["and more", key + "-and-more"]])
    again.send(JSON.stringify({ type: "say", text, key: itsKey }));
};
"""


def test_what_a_server_passed_on_before_it_died_is_not_shown_twice(two):
    """Its sender never heard that it was, and says it again to a server that knows nothing of it."""
    say(two.ada, "passed on")
    two.grace.until(TEXTS, "passed on")
    key = two.grace.script("return document.querySelector('#log [data-key]').dataset.key")
    two.server.end(signal.SIGKILL)
    two.server.start()
    two.grace.until(STATE, "connected")
    two.ada.script(AGAIN, two.ada.texts("#room-title")[0], key)
    two.grace.until(TEXTS, "passed on", "and more")


RECORD = """
window.sent = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (text) { sent.push(JSON.parse(text)); send.call(this, text); };
return Date.parse(document.querySelector("#log > :last-child time").dateTime);
"""


def sent(browser: Browser) -> list[dict[str, Any]]:
    """What the page has sent since RECORD, which also gives the id of the last message."""
    messages: list[dict[str, Any]] = browser.script("return sent")
    return messages


def test_a_page_that_was_cut_off_catches_up(two):
    """What is said meanwhile comes when its network is back, each message once."""
    with relaying(int(two.server.port)) as relay:
        leave(two.grace)
        come(two.grace, f"http://127.0.0.1:{relay.port}/", "Grace", two.ada.texts("#room-title")[0])
        say(two.ada, "one")
        two.grace.until(TEXTS, "one")
        newest = two.grace.script(RECORD)
        two.grace.script(NOT_BY_ITSELF)
        relay.cut()
        waits(two.grace, "Not connected")
        say(two.grace, "kept")
        two.ada.until(LAST, "Grace left")
        for text in "two", "three":
            say(two.ada, text)
        two.ada.until(TEXTS, "one", "two", "three")
        two.grace.until(TEXTS, "one")
        two.grace.until(UNSENT, "kept")
        relay.mend()
        two.grace.click("#retry")
        for browser in two.grace, two.ada:
            browser.until(TEXTS, "one", "two", "three", "kept")
        two.grace.until(UNSENT)
        assert sent(two.grace)[0]["after"] == newest, "it asked for what it had not"
        leave(two.grace)


def test_what_is_written_for_another_room_while_cut_off_gets_there(two):
    with relaying(int(two.server.port)) as relay:
        leave(two.grace)
        come(two.grace, f"http://127.0.0.1:{relay.port}/", "Grace", two.ada.texts("#room-title")[0])
        two.grace.script(NOT_BY_ITSELF)
        relay.cut()
        waits(two.grace, "Not connected")
        two.grace.type("#other", "Tea  Time" + ENTER)
        two.grace.until("#room-title", "Tea  Time")
        say(two.grace, "one lump")
        two.grace.until(UNSENT, "one lump")
        relay.mend()
        two.grace.click("#retry")
        two.grace.until("#room-title", "tea time")
        two.grace.until(TEXTS, "one lump")
        two.grace.until(UNSENT)
        leave(two.grace)


def test_a_line_that_seems_idle_is_tried(two):
    """A minute is a tenth of a second here."""
    two.grace.script(
        "const real = setTimeout; window.setTimeout = (work, ms) => real(work, ms === 60_000 ? 100 : ms)"
    )
    say(two.grace, "the last word")
    two.grace.until(TEXTS, "the last word")
    two.grace.script(RECORD)
    eventually(lambda: len(sent(two.grace)) >= 2, "a hello, and another one")
    assert {one["type"] for one in sent(two.grace)} == {"join"}
    two.grace.until(TEXTS, "the last word")
    two.ada.until("#log .news", "Grace joined")


def test_a_silent_server_is_noticed_and_what_it_heard_is_not_said_twice(two):
    for browser in two.ada, two.grace:  # ten seconds are half of one
        browser.script("const real = setTimeout; window.setTimeout = (work, ms) => real(work, ms / 20)")
    two.server.process.signal(signal.SIGSTOP)
    try:
        say(two.ada, "into the dark")
        waits(two.ada, "The server is silent")
        two.ada.until(UNSENT, "into the dark")
    finally:
        two.server.process.signal(signal.SIGCONT)
    for browser in two.ada, two.grace:
        browser.until(TEXTS, "into the dark")
        browser.until(STATE, "connected")
        here = ["Ada (you)", "Grace"] if browser is two.ada else ["Ada", "Grace (you)"]
        eventually(lambda who=browser, here=here: sorted(who.texts(PEOPLE)) == here, "both, each once")
    two.ada.until(UNSENT)
    say(two.ada, "in the light")
    two.grace.until(TEXTS, "into the dark", "in the light")


@pytest.mark.parametrize(("width", "height"), [(360, 640), (1100, 800)])
def test_the_page_fits_the_window(two, width, height):
    say(two.ada, "w" * 500)
    two.grace.until(TEXTS, "w" * 500)
    two.grace.devtools(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 500,
    )
    try:
        eventually(lambda: two.grace.script("return visualViewport.width") == width, "the other size")
        box = two.grace.script("return document.getElementById('text').getBoundingClientRect().toJSON()")
        assert 0 <= box["left"] < box["right"] <= width
        assert 0 <= box["top"] < box["bottom"] <= height
        wide = two.grace.script(
            "return [document.documentElement.scrollWidth, document.getElementById('scroll').scrollWidth]"
        )
        assert wide[0] <= width
        assert wide[1] <= two.grace.script("return document.getElementById('scroll').clientWidth")
    finally:
        two.grace.devtools("Emulation.clearDeviceMetricsOverride")


CONTRAST = """
const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const numbers = (colour) => {
  probe.clearRect(0, 0, 1, 1);
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  return Array.from(probe.getImageData(0, 0, 1, 1).data);
};
const light = (colour) => {
  const [r, g, b] = numbers(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (one) => {
  while (one && numbers(getComputedStyle(one).backgroundColor)[3] < 255) one = one.parentElement;
  return getComputedStyle(one ?? document.body).backgroundColor;
};
const low = {};
for (const one of document.querySelectorAll("body *")) {
  const words = Array.from(one.childNodes).some((node) => node.nodeType === 3 && node.data.trim());
  if (!words || !one.checkVisibility()) continue;
  const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) low[one.outerHTML.slice(0, 80)] = ratio;
}
return JSON.stringify(low);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(two, scheme):
    """WCAG 2.2 §1.4.3: 4.5 to 1 for all text, in both schemes."""
    two.ada.devtools(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    say(two.ada, "mine")
    say(two.grace, "yours")
    eventually(lambda: set(two.ada.texts(TEXTS)) == {"mine", "yours"})
    assert json.loads(two.ada.script(CONTRAST)) == {}
    dark = two.ada.script("return getComputedStyle(document.body).backgroundColor") == "rgb(13, 18, 16)"
    assert dark is (scheme == "dark")
