/* One WebSocket after another: opening, noticing death, coming back.
 *
 * Rule: the only file that holds a WebSocket. It knows of frames being arrays of events and of the
 * two that concern a link (`welcome`'s heartbeat, `bye`), nothing of rooms, nothing of the DOM.
 * Timers, clock, randomness and the socket itself come in through `env`.
 * A link is connecting -> open (its owner says when, see `ready`) -> connecting ... or closed:
 * turned away by the server, or the browser says it is offline.
 * Danger: a browser hides the server's pings. Silence may be a quiet room or a dead link, so after
 * 2.5 heartbeats of it we ask.
 */

import { backoffMs, mayReturn } from "./backoff.js";

const PROTOCOL = "danmaku.json";
const TICK_MS = 1000;
const ANSWER_MS = 10_000;
const STEADY_MS = 5_000; // a link that lived this long starts the back-off anew
const SILENCE_HEARTBEATS = 2.5;

const LONGEST_MS = 2 ** 31 - 1; // what a browser's timer can count to; beyond that it fires at once

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

export const BROWSER = {
  /* Not wall time: set back by an hour, it would make an hour of every silence and every wait. */
  now: () => performance.now(),
  random: Math.random,
  setTimeout: (run, ms) => setTimeout(run, Math.min(ms, LONGEST_MS)),
  clearTimeout: (timer) => clearTimeout(timer),
  connect: (url) => new WebSocket(url, PROTOCOL),
};

export class Link {
  #url;
  #env;
  #on;
  #socket = null;
  #welcomedAt = null;
  #heartbeatMs = 30_000;
  #heardAt = 0;
  #askedAt = null; // when we asked whether anyone is there; anything heard answers
  #dueAt = null; // when a particular answer (a welcome, a joined) is overdue
  #bye = null;
  #who; // what a guest comes back with: {guest, name}
  #attempt = 0;
  #offline = false;
  #turnedAway = false;
  #comeback;

  /** `on`: state({state, reason?, returnAt?}), event(event), pause() after each frame, down().
   *  `who`: the `guest` key and the `name` of one who was here before. */
  constructor({ url, env, on, who = {} }) {
    this.#url = url;
    this.#who = { ...who };
    this.#env = env;
    this.#on = on;
  }

  get up() {
    return this.#welcomedAt !== null;
  }

  start() {
    this.#open();
    this.#tick();
  }

  /** The user wants another try, whatever stood in the way. */
  retry() {
    this.#attempt = 0;
    this.#offline = this.#turnedAway = false;
    if (!this.#socket) this.#open();
  }

  online() {
    this.#offline = false;
    if (this.#socket || this.#turnedAway) return;
    this.#attempt = 0;
    this.#comeBack("The browser is online again");
  }

  /** A hint, not a fact: an open link is asked, and only one already down waits for `online`. */
  offline() {
    this.#offline = true;
    if (this.#socket) this.#ask();
    else if (!this.#turnedAway) this.#stayAway("The browser is offline");
  }

  /** What a guest is called from the next connection on. */
  rename(name) {
    this.#who.name = name;
  }

  send(command) {
    if (this.up) this.#socket.send(JSON.stringify(command));
  }

  /** An answer is owed; without it in time the link counts as dead. */
  expect() {
    this.#dueAt = this.#env.now() + ANSWER_MS;
  }

  answered() {
    this.#dueAt = null;
  }

  ready() {
    this.answered();
    this.#on.state({ state: "open" });
  }

  #open() {
    this.#env.clearTimeout(this.#comeback);
    this.#on.state({ state: "connecting" });
    this.#bye = this.#askedAt = null;
    this.#heardAt = this.#env.now();
    this.expect();
    try {
      this.#socket = this.#env.connect(this.#address());
    } catch (error) {
      this.#stayAway(`Not a usable address: ${error.message}`);
      return;
    }
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = ({ code, reason }) => this.#lost(code, reason);
  }

  #address() {
    const url = new URL(this.#url);
    for (const [key, value] of Object.entries(this.#who)) if (value) url.searchParams.set(key, value);
    return url.href;
  }

  #receive(data) {
    let events;
    try {
      events = JSON.parse(data);
    } catch {
      console.warn("danmaku: a frame that is not JSON was ignored");
      return;
    }
    this.#heardAt = this.#env.now();
    this.#askedAt = null;
    for (const event of events) {
      if (event.t === "welcome") this.#welcomed(event);
      else if (event.t === "bye") this.#bye = event;
      this.#on.event(event);
    }
    this.#on.pause();
  }

  #welcomed(event) {
    this.#welcomedAt = this.#env.now();
    this.#heartbeatMs = event.heartbeat * 1000;
    this.#who.guest = event.guest ?? this.#who.guest;
  }

  /** The socket's handlers go first: a dying socket's late events must not touch its successor. */
  #lost(code, reason) {
    const steady = this.up && this.#env.now() - this.#welcomedAt >= STEADY_MS;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket = this.#welcomedAt = this.#dueAt = null;
    if (steady) this.#attempt = 0;
    this.#turnedAway = !mayReturn(code);
    this.#on.down();
    const why = explain(code, reason);
    if (this.#turnedAway) this.#stayAway(why);
    else if (this.#offline) this.#stayAway("The browser is offline");
    else this.#comeBack(why);
  }

  #comeBack(reason) {
    this.#env.clearTimeout(this.#comeback);
    const told = this.#bye?.reconnect_in;
    const delay = told === undefined ? backoffMs(this.#attempt, this.#env.random) : told * 1000;
    this.#attempt += 1;
    this.#on.state({ state: "connecting", reason, returnAt: this.#env.now() + delay });
    this.#comeback = this.#env.setTimeout(() => this.#open(), delay);
  }

  #stayAway(reason) {
    this.#env.clearTimeout(this.#comeback);
    this.#on.state({ state: "closed", reason });
  }

  #tick() {
    this.#env.setTimeout(() => this.#tick(), TICK_MS);
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
    this.#socket.close();
    this.#lost(4003, "");
  }
}

/** Why a connection ended, in words; a moderator's own stand behind a colon. */
function explain(code, reason) {
  const [, said] = /^(?:banned|kicked): (.*)$/su.exec(reason) ?? [];
  const words = REASONS[code] ?? (reason || "The connection was lost");
  return said ? `${words}: ${said}` : words;
}
