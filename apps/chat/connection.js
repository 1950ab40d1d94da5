// Keeps a page connected: opens the WebSocket, opens it again when it breaks, and holds what was not taken yet.
// Knows nothing of the document. The protocol is told in apps/chat/__init__.py.

// The server goes away (RFC 6455 §7.4.1) or restarts (IANA's registry): it is worth asking again at once.
const RESTARTS = new Set([1001, 1012]);
// Milliseconds. Each failure doubles the wait; chance spreads the pages, so that they don't all come back together.
const SOON = 100, FIRST = 500, LONGEST = 20_000, PATIENCE = 10_000, SILENCE = 60_000;
const MOST_UNSENT = 100;

// 128 random bits; crypto.randomUUID is there over https only.
export const random = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Connection {
  // Texts that the server has not confirmed, oldest first, each with its room and its key.
  unsent = [];
  #url; #page; #socket = null; #timer = 0; #failures = 0; #asked = ""; #joined = null; #held = false;

  // `page` has hello(): what to join with; heard(message); and changed(state, seconds, why).
  constructor(url, page) {
    this.#url = url;
    this.#page = page;
  }

  start() {
    this.stop();
    this.#failures = 0;
    this.#open();
  }

  stop() {
    this.#forget()?.close(1000);
    this.#page.changed("stopped");
  }

  // For when there is reason to hope, or to doubt: the button, a network that is back, a laptop that was opened.
  retry() {
    if (this.#socket) this.join();
    else if (this.#timer) this.#open();
  }

  // Changes the room, or says hello in it again, which changes nothing and shows that someone answers.
  join() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const hello = this.#page.hello();
    this.#joined = null;
    this.#asked = hello.room;
    this.#socket.send(JSON.stringify({ type: "join", ...hello }));
    this.#expect();
  }

  // Its key; null where too much waits already.
  say(room, text) {
    if (this.unsent.length >= MOST_UNSENT) return null;
    const key = random();
    this.unsent.push({ room, text, key });
    this.#next();
    return key;
  }

  // The oldest text for this room. The next one goes out when it is confirmed, which keeps them in order.
  #next() {
    const first = this.unsent.find((one) => one.room === this.#joined);
    if (!first || this.#held || first.socket === this.#socket) return;
    first.socket = this.#socket;
    this.#socket.send(JSON.stringify({ type: "say", text: first.text, key: first.key }));
    this.#expect();
  }

  #open() {
    this.#forget();
    this.#page.changed("connecting");
    const socket = this.#socket = new WebSocket(this.#url);
    socket.onopen = () => this.join();
    socket.onmessage = (event) => this.#hear(JSON.parse(event.data));
    socket.onclose = (event) => this.#lost(RESTARTS.has(event.code) ? "restart" : "lost");
    this.#expect();
  }

  // An answer is due. Without one the server is gone, whatever TCP still believes.
  #expect() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost("silent"), PATIENCE);
  }

  #hear(message) {
    if (message.type === "welcome") {
      this.#answered();
      this.#failures = 0;
      this.#joined = message.room;
      // The server cleans names; what was written for this room until now was for the one it made of it.
      for (const one of this.unsent) if (one.room === this.#asked) one.room = message.room;
      this.#page.changed("open");
    } else if (message.type === "message") {
      this.#settle(message.key);
    } else if (message.type === "error") {
      if (message.code === "fast") this.#hold(message);
      else message.refused = this.#settle(message.key);
    }
    this.#page.heard(message);
    this.#next();
  }

  // Nothing is due. A browser notices no end that it isn't told of, so a line that seems idle is tried now and then.
  #answered() {
    clearTimeout(this.#timer);
    this.#timer = this.#socket ? setTimeout(() => this.join(), SILENCE) : 0;
  }

  #settle(key) {
    const index = this.unsent.findIndex((one) => one.key === key);
    if (index < 0) return null;
    this.#answered();
    return this.unsent.splice(index, 1)[0].text;
  }

  // Said too much at once: what was refused is said again when the server will take it.
  #hold(message) {
    this.#held = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#held = false;
      if (message.about === "join") { this.join(); return; }
      for (const one of this.unsent) one.socket = null;
      this.#next();
    }, message.retry * 1000);
  }

  // Lets go of the socket: what it still says is not heard.
  #forget() {
    const socket = this.#socket;
    this.#socket = this.#joined = null;
    this.#held = false;
    this.#answered();
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    return socket;
  }

  #lost(why) {
    this.#forget()?.close();
    // A restart is announced by the old server; that the new one is not there yet counts as any failure does.
    const most = why === "restart" ? SOON : Math.min(LONGEST, FIRST * 2 ** this.#failures++);
    const wait = most * (0.5 + Math.random());
    this.#timer = setTimeout(() => this.#open(), wait);
    this.#page.changed("waiting", Math.ceil(wait / 1000), why);
  }
}
