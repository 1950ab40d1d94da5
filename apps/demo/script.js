// Each panel: ask the server, show what it said. No library, and no URL but the server's own.
"use strict";

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const seconds = (ms) => (ms / 1000).toFixed(2) + " s";
const LIMIT = 10 * 2 ** 20;

// A button that works keeps its place and its focus; aria-disabled says that it is busy.
function onPress(button, work) {
  button.addEventListener("click", async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    try { await work(button); } finally { button.ariaDisabled = "false"; }
  });
}

function add(list, text, className, title) {
  const item = document.createElement("li");
  if (className) item.className = className;
  if (title) item.append(Object.assign(document.createElement("b"), { textContent: title }));
  item.append(text);
  list.append(item);
}

function tell(place, text, bad = false) {
  place.textContent = text;
  place.classList.toggle("bad", bad);
}

async function ask(url, options) {
  const answer = await fetch(url, options);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return answer;
}

// Right now: server-sent events.
const history = [];
const events = new EventSource("events");
events.addEventListener("open", () => tell($("live-state"), "live"));
events.addEventListener("error", () => tell($("live-state"), "the server is away, trying again…", true));
events.addEventListener("tick", (event) => {
  const now = JSON.parse(event.data);
  $("time").textContent = now.time;
  $("in-flight").textContent = whole.format(now.in_flight);
  $("done").textContent = whole.format(now.done);
  $("os-threads").textContent = now.os_threads;
  $("peak").textContent = now.peak_mib + " MiB";
  history.push(now.in_flight);
  if (history.length > 61) history.shift();
  const top = Math.max(4, ...history);
  const points = history.map((value, i) => `${60 - (history.length - 1 - i)},${11 - (10 * value) / top}`);
  $("chart").firstElementChild.setAttribute("points", points.join(" "));
});

// Two hundred sleepers: one streamed answer, a line for each request that came back.
const SLEEPERS = 200;
const dots = Array.from({ length: SLEEPERS }, () => document.createElement("i"));
$("crowd").append(...dots);

onPress($("crowd-start"), async () => {
  const began = performance.now();
  let failed = 0, rest = "";
  dots.forEach((dot) => { dot.className = "waiting"; });
  tell($("crowd-result"), "200 requests are asleep…");
  try {
    const answer = await ask(`crowd?n=${SLEEPERS}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part; !(part = await reader.read()).done;) {
      const lines = (rest + part.value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const row = JSON.parse(line);
        dots[row.index].className = row.status === 200 ? "ok" : "failed";
        failed += row.status !== 200;
      }
    }
    const took = seconds(performance.now() - began);
    tell($("crowd-result"), `${SLEEPERS - failed} of ${SLEEPERS} answered in ${took}.`, failed > 0);
  } catch (error) {
    tell($("crowd-result"), String(error), true);
  }
});

// Ask first, then send: a browser never says Expect, so the server plays the client and tells what was said.
for (const button of document.querySelectorAll("[data-bytes]")) {
  onPress(button, async () => {
    const list = $("dialogue");
    list.replaceChildren();
    try {
      const said = await (await ask(`dialogue?bytes=${button.dataset.bytes}`)).json();
      for (const line of said) add(list, line.text, line.who, `${line.who}, after ${line.ms} ms`);
    } catch (error) {
      add(list, String(error), "bad");
    }
  });
}

// Upload: XMLHttpRequest, since fetch tells nothing of a body's progress.
$("upload").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = $("file").files[0] ?? new Blob([new Uint8Array(8 * 2 ** 20)]);
  const place = $("upload-result");
  if (body.size > LIMIT) {
    tell(place, "More than 10 MiB. The panel “Ask first, then send” shows how the server would refuse it.", true);
    return;
  }
  const request = new XMLHttpRequest();
  request.upload.onprogress = (e) => { $("progress").value = e.total ? e.loaded / e.total : 1; };
  request.onerror = () => tell(place, "The connection was closed.", true);
  request.onload = () => {
    if (request.status !== 200) { tell(place, `The server answered ${request.status}.`, true); return; }
    const got = JSON.parse(request.responseText);
    const digest = got.sha256.slice(0, 12);
    tell(place, `The server counted ${whole.format(got.bytes)} bytes in ${got.seconds.toFixed(2)} s. SHA-256 ${digest}…`);
  };
  tell(place, "");
  $("progress").value = 0;
  request.open("POST", "upload");
  request.send(body);
});

// Answer now, work later: a post-hook, and a long poll that waits for it.
onPress($("later-start"), async () => {
  const list = $("later"), began = performance.now();
  list.replaceChildren();
  try {
    const { job } = await (await ask("later", { method: "POST" })).json();
    add(list, `Answered after ${Math.round(performance.now() - began)} ms.`);
    const done = await (await ask(`later/done?job=${job}`)).json();
    add(list, `The post-hook was done ${done.seconds.toFixed(2)} s after the request came in.`);
  } catch (error) {
    add(list, String(error), "bad");
  }
});

// A request, as the app sees it.
async function describe() {
  const began = performance.now();
  try {
    const rows = await (await ask("request")).json();
    const took = performance.now() - began;
    $("request").replaceChildren(...rows.map(([name, value]) => {
      const row = document.createElement("div");
      row.append(Object.assign(document.createElement("dt"), { textContent: name }));
      row.append(Object.assign(document.createElement("dd"), { textContent: value }));
      return row;
    }));
    tell($("request-result"), `Answered after ${took.toFixed(1)} ms.`);
  } catch (error) {
    tell($("request-result"), String(error), true);
  }
}
onPress($("request-start"), describe);
describe();
