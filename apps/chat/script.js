// The page: what the connection tells is shown, what is typed is said. Text only ever becomes textContent.
import { Connection, random } from "./connection.js";

const $ = (id) => document.getElementById(id);
const MOST_SHOWN = 500;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const WHY = { restart: "The server restarts", lost: "Not connected", silent: "The server is silent" };

const tab = random();
let name = "", room = "", newest = 0, unread = 0;
let welcomed = false;               // since the last change of room: until then what is heard is of the old one
let online = false;                 // else who is here is only known of before
let rooms = [];                     // [name, how many are there], as the server tells them
let atEnd = true;                   // of the log
const people = new Map();           // number → name
const shown = new Set();            // the keys of the messages in the log
const mine = new Set();             // the keys of this page's own

const page = {
  hello: () => ({ room, name, tab, after: newest }),

  changed(state, seconds, why) {
    const texts = { stopped: "", connecting: "connecting…", open: "connected",
      waiting: `${WHY[why]}; next try in ${seconds} s` };
    if ($("state").textContent !== texts[state]) $("state").textContent = texts[state];  // or it is read out again
    $("state").dataset.state = state;
    $("retry").hidden = state !== "waiting";
    if (online !== (state === "open")) {
      online = !online;
      showPeople();
    }
    showUnsent();
  },

  heard(message) {
    if (message.type === "welcome") welcome(message);
    else if (message.type === "error") refuse(message);
    else if (message.type === "rooms") {
      rooms = message.rooms;
      showRooms();
    } else if (!welcomed) return;
    else if (message.type === "message") follow(() => showMessage(message));
    else if (message.type === "joined") {
      people.set(message.number, message.name);
      showPeople();
      follow(() => note(`${message.name} joined`));
    } else if (message.type === "left") {
      people.delete(message.number);
      showPeople();
      follow(() => note(`${message.name} left`));
    }
    showUnsent();
  },
};

const url = new URL("ws", location.href.replace(/[?#].*/, ""));
url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
const connection = new Connection(url.href, page);

// What is heard

function welcome(message) {
  welcomed = true;
  if (message.room !== room) {      // the server has cleaned the name
    enterRoom(message.room);
    welcomed = true;
  }
  people.clear();
  for (const [number, one] of message.people) people.set(number, number === message.you ? `${one} (you)` : one);
  rooms = message.rooms;
  showPeople();
  $("rooms").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  // What is caught up with is not read out as if it were said now.
  $("log").ariaBusy = "true";
  follow(() => {
    if (message.missed) note("Some messages are missing here: the server keeps the last 50.");
    for (const one of message.history) showMessage(one);
  });
  $("log").ariaBusy = "false";
}

function refuse(message) {
  if (message.about === "join" && message.code !== "fast") {   // nothing to do here but to choose another room or name
    showDoor();
    $("refusal").textContent = message.text;
  } else {
    $("problem").textContent = message.text;
    if (message.refused && !$("text").value) $("text").value = message.refused;
  }
}

// What is shown

function element(kind, className, text) {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

function body(text) {
  const made = element("p", "text", text);
  made.dir = "auto";                // and nothing in it turns the rest of the line
  return made;
}

function showMessage(message) {
  newest = Math.max(newest, message.id);
  if (shown.has(message.key)) return;
  shown.add(message.key);
  const own = mine.has(message.key);
  if (own) $("problem").textContent = "";
  const said = new Date(message.id);
  const item = element("li", own ? "own" : "", "");
  item.dataset.key = message.key;
  const time = element("time", "", clock.format(said));
  time.dateTime = said.toISOString();
  const who = element("b", "", own ? "You" : message.name);
  who.dir = "auto";
  const head = element("p", "head", "");
  head.append(who, time);
  item.append(head, body(message.text));
  show(item);
  if (document.hidden) document.title = `(${++unread}) ${room}`;
}

function note(text) {
  show(element("li", "news", text));
}

function show(item) {
  $("log").append(item);
  while ($("log").childElementCount > MOST_SHOWN) {
    const first = $("log").firstElementChild;
    shown.delete(first.dataset.key);
    mine.delete(first.dataset.key);
    first.remove();
  }
}

function toEnd() {
  $("scroll").scrollTop = $("scroll").scrollHeight;
}

// Stays at the end if it was there; who reads further up stays there, and is told.
function follow(work) {
  const before = newest;
  work();
  if (atEnd) toEnd();
  else if (newest > before) $("down").hidden = false;
}

function showPeople() {
  $("people").replaceChildren(...Array.from(people.values(), (one) => {
    const item = element("li", "", one);
    item.dir = "auto";
    return item;
  }));
  $("people-title").textContent = online ? `Here now: ${people.size}` : people.size ? `Here before: ${people.size}` : "Here";
  showRooms();
}

function showRooms() {
  const focused = $("rooms").contains(document.activeElement) ? document.activeElement.hash : null;
  $("rooms").replaceChildren(...rooms.map(([one, count]) => {
    const item = element("li", "", ""), link = element("a", "", one);
    link.href = "#" + encodeURIComponent(one);
    // The server counts once a second; of this room the list is known at once, and must not say otherwise.
    const here = welcomed && one === room ? people.size : count;
    if (online) link.append(element("span", "hidden", ", here: "), element("span", "count", String(here)));
    if (one === room) link.ariaCurrent = "page";
    item.append(link);
    return item;
  }));
  if (focused) Array.from($("rooms").querySelectorAll("a")).find((link) => link.hash === focused)?.focus();
}

function showUnsent() {
  const here = connection.unsent.filter((one) => one.room === room);
  follow(() => $("unsent").replaceChildren(...here.map((one) => {
    const item = element("li", "own", ""), head = element("p", "head", "not sent yet");
    item.append(head, body(one.text));
    return item;
  })));
}

// What is done

function enterRoom(to) {
  room = to;
  newest = unread = 0;
  welcomed = false;
  shown.clear();
  people.clear();
  $("log").replaceChildren();
  $("problem").textContent = "";
  $("down").hidden = atEnd = true;
  $("room-title").textContent = room;
  document.title = `${room} · chat on greenserve`;
  history.replaceState(null, "", "#" + encodeURIComponent(room));
  showPeople();
  showUnsent();
}

function showTalk() {
  $("refusal").textContent = "";
  $("door").hidden = true;
  $("talk").hidden = false;
  remember(name);
  $("text").focus();
}

function showDoor() {
  connection.stop();
  remember("");
  $("talk").hidden = true;
  $("door").hidden = false;
  $("room").value = room;
  $("name").focus();
  document.title = "Chat on greenserve";
}

// The name lasts as long as the tab, so that a reload comes back. Browsers may forbid to keep anything.
function remember(value) {
  try { sessionStorage.setItem("name", value); } catch { /* then a reload asks again */ }
}

function remembered() {
  try { return sessionStorage.getItem("name") ?? ""; } catch { return ""; }
}

function roomOfAddress() {
  try { return decodeURIComponent(location.hash.slice(1)).slice(0, 32) || "lobby"; } catch { return "lobby"; }
}

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  name = $("name").value;
  enterRoom($("room").value);
  showTalk();
  connection.start();
});

$("go").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = encodeURIComponent($("other").value);
  $("other").value = "";
});

window.addEventListener("hashchange", () => {
  const to = roomOfAddress();
  if (to === room) return;
  $("room").value = to;
  if (!$("door").hidden) return;
  enterRoom(to);
  connection.join();
  $("text").focus();
});

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  $("text").focus();                // a phone's keyboard stays
  if (!text) return;
  const key = connection.say(room, text);
  if (!key) {
    $("problem").textContent = "Too many messages wait already. This one stays here until some of them are sent.";
    return;
  }
  mine.add(key);
  $("text").value = "";
  $("problem").textContent = "";
  showUnsent();
  toEnd();
});

$("text").addEventListener("keydown", (event) => {
  // Enter also chooses a word from an input method, which is not meant for us.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("say").requestSubmit();
});

$("down").addEventListener("click", toEnd);
$("scroll").addEventListener("scroll", () => {
  const place = $("scroll");
  atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
  if (atEnd) $("down").hidden = true;
}, { passive: true });
// A phone's keyboard comes and goes.
new ResizeObserver(() => { if (atEnd) toEnd(); }).observe($("scroll"));

$("leave").addEventListener("click", showDoor);
$("retry").addEventListener("click", () => {
  connection.retry();
  $("text").focus();                // the button goes
});
window.addEventListener("online", () => connection.retry());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  if (room && $("door").hidden) document.title = `${room} · chat on greenserve`;
  connection.retry();
});
// A page that is left may live on, unseen, for whoever goes back to it: it is not here meanwhile.
window.addEventListener("pagehide", () => connection.stop());
window.addEventListener("pageshow", (event) => { if (event.persisted && $("door").hidden) connection.start(); });
window.addEventListener("beforeunload", (event) => { if (connection.unsent.length) event.preventDefault(); });

$("room").value = roomOfAddress();
if (remembered()) {
  $("name").value = name = remembered();
  enterRoom($("room").value);
  showTalk();
  connection.start();
} else {
  $("name").focus();
}
