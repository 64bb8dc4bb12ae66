/* A world where time moves only when told, and sockets are what the test makes of them. */

import { Client } from "../src/index.js";

export const WELCOME = {
  t: "welcome", conn: "c1", uid: "me", name: "guest", role: "guest", heartbeat: 30, v: 1,
};
const NAMES = [
  "connection", "welcome", "authed", "expiring", "joined", "refused", "left", "messages", "delete",
  "clear", "state", "gap", "shed", "online", "likes", "joins", "muted", "notice", "bye", "error",
];

export const line = (more) => ({ uid: "u", text: "text", ts: 1, ...more });
export const lines = (count) => Array.from({ length: count }, () => line());
export const msgs = (seq, to = seq, more) => {
  return { t: "msgs", room: "r", epoch: "e", seq, to, m: lines(to - seq + 1), ...more };
};

export class World {
  time = 1_000_000;
  luck = 0.5;
  sockets = [];
  happened = [];
  network;
  #timers = new Map();
  #timerId = 0;

  env = {
    now: () => this.time,
    random: () => this.luck,
    setTimeout: (run, ms) => {
      this.#timers.set((this.#timerId += 1), { at: this.time + ms, run });
      return this.#timerId;
    },
    clearTimeout: (timer) => this.#timers.delete(timer),
    connect: (url, protocol) => {
      const socket = { url, protocol, sent: [], closed: false, close: (code) => (socket.closed = code ?? true) };
      socket.send = (text) => socket.sent.push(JSON.parse(text));
      this.sockets.push(socket);
      return socket;
    },
    watch: (network) => {
      this.network = network;
      return () => (this.network = undefined);
    },
  };

  /** A client of room r that has begun to connect; all it tells is in `happened`. */
  client(options) {
    const client = new Client("ws://host/ws", { rooms: ["r"], env: this.env, ...options });
    for (const name of NAMES) client.on(name, (event) => this.happened.push([name, event]));
    this.advance(0);
    return client;
  }

  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const [id, timer] = [...this.#timers].sort((a, b) => a[1].at - b[1].at)[0] ?? [];
      if (!timer || timer.at > end) break;
      this.#timers.delete(id);
      this.time = Math.max(this.time, timer.at);
      timer.run();
    }
    this.time = end;
  }

  get timers() {
    return this.#timers.size;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  hear(...events) {
    this.socket.onmessage({ data: JSON.stringify(events) });
  }

  lose(code = 1006, reason = "") {
    this.socket.onclose({ code, reason });
  }

  /** The answer to the newest join of a room. */
  joined(more) {
    const { room = "r" } = more ?? {};
    const { ref } = this.sent("join").filter((join) => join.room === room).at(-1);
    const fresh = { epoch: "e", seq: 5, online: 1, recovered: false, history: [] };
    this.hear({ t: "joined", ref, room, ...fresh, ...more });
  }

  /** Welcomed, and in the room. */
  enter(welcome) {
    this.hear({ ...WELCOME, ...welcome });
    this.joined();
  }

  sent(type) {
    return this.socket.sent.filter(({ t }) => t === type);
  }

  seen(name) {
    return this.happened.filter(([happening]) => happening === name).map(([, event]) => event);
  }

  get state() {
    return this.seen("connection").at(-1);
  }

  /** The numbers of the messages that came, one list for each time. */
  seqs(history = false) {
    const told = this.seen("messages").filter((event) => event.history === history);
    return told.map(({ messages }) => messages.map(({ seq }) => seq));
  }
}

/** What became of a promise by now. */
export function outcome(promise) {
  const found = {};
  promise.then((value) => (found.value = value), (error) => (found.error = error));
  return found;
}

/** Everything that waits for a promise has run. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));
