/* One WebSocket after another: opening, noticing death, coming back.
 *
 * Rule: the only file that holds a WebSocket. It knows of frames being arrays of events and of the
 * two that concern a link (`welcome`'s heartbeat, `bye`), nothing of rooms, nothing of the DOM.
 * Timers, clock, randomness and the socket itself come in through `env`.
 * A link is connecting -> open -> connecting ... or closed: turned away by the server, or ended by its
 * owner. What says that there is no network is a hint, and no end.
 * Danger: a browser hides the server's pings. Silence may be a quiet room or a dead link, so after
 * 2.5 heartbeats of it we ask.
 * Danger: in Node an error that a socket's handler throws ends the process, and a proxy may send
 * anything. What is no frame or no event is ignored, whatever it is.
 * Danger: a token may have to be waited for, and the link be closed or tried anew meanwhile. What is
 * waited for is of one attempt, and nobody's any more after it.
 */

import { backoffMs, mayReturn, mayReturnWithToken } from "./backoff.js";

/** @import { Codec, ConnectionChange, Env, Socket, Token, WireEvent } from "./types.js" */

const TICK_MS = 1000;
const ANSWER_MS = 10_000;
const STEADY_MS = 5_000; // a link that lived this long starts the back-off anew
const SILENCE_HEARTBEATS = 2.5;
const NORMAL = 1000;
const GONE_SILENT = 4003;

/** @type {Record<number, string>} */
const REASONS = {
  4000: "The server is restarting",
  4001: "This page was reading too slowly",
  4002: "The connection stalled",
  4003: "The connection went silent",
  4500: "Your token was not accepted",
  4501: "Your token has expired",
  4502: "Guests may not enter here",
  4503: "Disconnected for sending too much",
  4504: "You are banned",
  4505: "A moderator sent you away",
  4506: "You have connected anew elsewhere",
  4507: "You are connected elsewhere already",
};

export class Link {
  #url;
  #env;
  #codec;
  #on;
  /** @type {Token} */
  #token;
  #guest;
  #name;
  /** @type {string | undefined} */
  #shown; // the token of the last attempt
  /** @type {string | null | undefined} */
  #spent = null; // the one that was turned away
  #spentBy = 0; // with this code
  /** @type {Socket | null} */
  #socket = null;
  /** @type {number | null} */
  #welcomedAt = null;
  #heartbeatMs = 30_000;
  #heardAt = 0;
  /** @type {number | null} */
  #askedAt = null; // when we asked whether anyone is there; anything heard answers
  /** @type {number | null} */
  #dueAt = null; // when a particular answer (a welcome, a joined) is overdue
  /** @type {WireEvent | null} */
  #bye = null;
  #failures = 0;
  #opened = 0; // attempts in all; names the one that a token is waited for
  #offline = false;
  #turnedAway = false;
  #ended = false;
  /** @type {any} */
  #comeback;
  /** @type {any} */
  #ticking;

  /**
   * @param {{
   *   url: string, env: Env, codec: Codec, token?: Token, guest?: string, name?: string,
   *   on: {
   *     state(change: ConnectionChange): void, event(event: WireEvent): void, down(): void,
   *   },
   * }} parts
   */
  constructor({ url, env, codec, token, guest, name, on }) {
    this.#url = url;
    this.#env = env;
    this.#codec = codec;
    this.#token = token;
    this.#guest = guest;
    this.#name = name;
    this.#on = on;
  }

  get up() {
    return this.#welcomedAt !== null;
  }

  /** What the next connection says who one is by. */
  get token() {
    return this.#token;
  }

  set token(token) {
    this.#token = token;
  }

  start() {
    if (this.#ended) return;
    this.#open();
    this.#tick();
  }

  /** Another try now, whatever stood in the way. */
  retry() {
    if (this.#ended) return;
    this.#failures = 0;
    this.#offline = this.#turnedAway = false;
    this.#spent = null;
    if (!this.#socket) this.#open();
  }

  /** For good. */
  close() {
    if (this.#ended) return;
    this.#ended = true;
    this.#opened += 1;
    this.#env.clearTimeout(this.#comeback);
    this.#env.clearTimeout(this.#ticking);
    this.#drop()?.close(NORMAL);
    this.#on.down();
    this.#on.state({ state: "closed", code: NORMAL, reason: "" });
  }

  online() {
    this.#offline = false;
    if (this.#ended || this.#socket || this.#turnedAway) return;
    this.#failures = 0;
    this.#comeBack("The network is there again");
  }

  /** A hint, not a fact: an open link is asked, and one that is down tries on, however rarely. */
  offline() {
    this.#offline = true;
    this.#ask();
  }

  /**
   * What a guest is called from the next connection on.
   * @param {string} name
   */
  rename(name) {
    this.#name = name;
  }

  /** @param {import("./types.js").Command} command */
  send(command) {
    if (this.up) this.#socket?.send(this.#codec.encode(command));
  }

  /** An answer is owed; without it in time the link counts as dead. */
  expect() {
    this.#dueAt = this.#env.now() + ANSWER_MS;
  }

  answered() {
    this.#dueAt = null;
  }

  #open() {
    this.#env.clearTimeout(this.#comeback);
    this.#bye = null;
    const attempt = (this.#opened += 1);
    this.#on.state({ state: "connecting" });
    if (attempt !== this.#opened) return; // a listener had other plans
    const token = this.#token;
    if (typeof token !== "function") return this.#dial(token || "");
    return void new Promise((resolve) => resolve(token())).then(
      (given) => attempt === this.#opened && this.#dial(given || ""),
      (error) => attempt === this.#opened && this.#comeBack(`There is no token: ${error?.message ?? error}`),
    );
  }

  /** @param {string} token */
  #dial(token) {
    if (token === this.#spent) return this.#stayAway(REASONS[this.#spentBy], this.#spentBy);
    this.#shown = token;
    this.#askedAt = null;
    this.#heardAt = this.#env.now();
    this.expect();
    try {
      this.#socket = this.#env.connect(this.#address(token), this.#codec.protocol);
    } catch (error) {
      return this.#stayAway(`Not a usable address: ${/** @type {Error} */ (error).message}`);
    }
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#socket.onerror = () => {}; // a close follows; in Node an error that nobody hears is thrown
  }

  /** @param {string} token */
  #address(token) {
    const url = new URL(this.#url);
    const who = token ? { token } : { guest: this.#guest, name: this.#name };
    for (const [key, value] of Object.entries(who)) if (value) url.searchParams.set(key, value);
    return url.href;
  }

  /** @param {string | ArrayBuffer} data */
  #receive(data) {
    const socket = this.#socket;
    /** @type {WireEvent[]} */
    let events;
    try {
      events = this.#codec.decode(data);
    } catch {
      console.warn(`danmaku: a frame that is not ${this.#codec.protocol} was ignored`);
      return;
    }
    this.#heardAt = this.#env.now();
    this.#askedAt = null;
    for (const event of events) {
      if (this.#socket !== socket) return; // a listener closed it
      try {
        this.#take(event);
      } catch (error) { // listeners' own errors never come here
        console.warn(`danmaku: an event that nobody can read was ignored: ${error}`);
      }
    }
  }

  /** @param {WireEvent} event */
  #take(event) {
    const socket = this.#socket;
    if (event.t === "welcome") this.#welcomed(event);
    else if (event.t === "bye") this.#bye = event;
    this.#on.event(event);
    if (event.t === "welcome" && this.#socket === socket) this.#on.state({ state: "open" });
  }

  /** @param {WireEvent} event */
  #welcomed(event) {
    this.#welcomedAt = this.#env.now();
    if (event.heartbeat > 0) this.#heartbeatMs = event.heartbeat * 1000;
    this.#guest = event.guest ?? this.#guest;
    this.answered();
    this.#spent = null;
  }

  /** The socket's handlers go first: a dying socket's late events must not touch its successor. */
  #drop() {
    const socket = this.#socket;
    if (socket) socket.onmessage = socket.onclose = null;
    this.#socket = this.#welcomedAt = this.#dueAt = null;
    return socket;
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #lost(code, reason) {
    if (this.#welcomedAt !== null && this.#env.now() - this.#welcomedAt >= STEADY_MS) this.#failures = 0;
    this.#drop();
    this.#turnedAway = !mayReturn(code) && !this.#mayShowAnother(code);
    this.#on.down();
    if (this.#ended) return; // by a listener
    const why = explain(code, reason);
    if (this.#turnedAway) this.#stayAway(why, code);
    else this.#comeBack(this.#offline ? "There is no network" : why, code);
  }

  /**
   * Whether there may be another token by now. The same one again is not shown.
   * @param {number} code
   */
  #mayShowAnother(code) {
    if (!mayReturnWithToken(code) || typeof this.#token !== "function") return false;
    this.#spent = this.#shown;
    this.#spentBy = code;
    return true;
  }

  /**
   * @param {string} reason
   * @param {number} [code]
   */
  #comeBack(reason, code = 0) {
    this.#env.clearTimeout(this.#comeback);
    const told = this.#bye?.reconnect_in;
    const delay = typeof told === "number" && told >= 0 ? told * 1000 : backoffMs(this.#failures, this.#env.random);
    this.#failures += 1;
    this.#comeback = this.#env.setTimeout(() => this.#open(), delay);
    this.#on.state({ state: "connecting", reason, code, returnAt: this.#env.now() + delay });
  }

  /**
   * @param {string} reason
   * @param {number} [code]
   */
  #stayAway(reason, code = 0) {
    this.#env.clearTimeout(this.#comeback);
    if (code) this.#turnedAway = true;
    this.#on.state({ state: "closed", reason, code });
  }

  #tick() {
    this.#ticking = this.#env.setTimeout(() => this.#tick(), TICK_MS);
    if (!this.#socket) return;
    const now = this.#env.now();
    const unanswered = this.#askedAt !== null && now > this.#askedAt + ANSWER_MS;
    const overdue = this.#dueAt !== null && now > this.#dueAt;
    if (unanswered || overdue) this.#abandon();
    else if (now > this.#heardAt + SILENCE_HEARTBEATS * this.#heartbeatMs) this.#ask();
  }

  #ask() {
    if (!this.up || this.#askedAt !== null) return;
    this.#askedAt = this.#env.now();
    this.send({ t: "ping" });
  }

  /** Give up without waiting for the close handshake, which a dead link never finishes. */
  #abandon() {
    const socket = this.#socket;
    this.#lost(GONE_SILENT, "");
    socket?.close();
  }
}

/**
 * Why a connection ended, in words; a moderator's own stand behind a colon.
 * @param {number} code
 * @param {string} reason
 */
function explain(code, reason) {
  const [, said] = /^(?:banned|kicked): (.*)$/su.exec(reason) ?? [];
  const words = REASONS[code] ?? (reason || "The connection was lost");
  return said ? `${words}: ${said}` : words;
}
