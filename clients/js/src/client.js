/* A client of a node: in rooms, over as many connections as it takes, sending until acknowledged.
 *
 * Rule: here is who waits for what, and who is told what. It holds no socket (link.js) and no DOM; what
 * a room's events mean is room.js, what waits to be acknowledged outbox.js.
 * Danger: a listener or who waits for a promise may call anything here, `close` and `leave` too. Nothing
 * is kept over a call to them but what is looked up again.
 */

import { JSON_CODEC } from "./codec.js";
import { world } from "./env.js";
import {
  CLOSED, DanmakuError, EXPIRED, IN_DOUBT, NOT_JOINED, QUEUE_FULL, TOO_LARGE, TOO_LONG,
  UNANSWERED,
} from "./errors.js";
import { Listeners } from "./events.js";
import { Link } from "./link.js";
import { expand } from "./messages.js";
import { Outbox } from "./outbox.js";
import { Questions } from "./questions.js";
import { removals } from "./redaction.js";
import { ASKED, LIVE, OUT, WANTED } from "./room.js";
import { Rooms } from "./rooms.js";

/** @import { News } from "./room.js" */
/**
 * @import {
 *   Ack, Authed, Command, Connection, ConnectionChange, Done, Env, Events, Gap, Message, Options,
 *   Removal, SendOptions, Token, Welcome, WireEvent
 * } from "./types.js"
 */

const SWEEP_MS = 5000;
/* Worth sending again by ourselves: what stands in the way is gone in seconds. After any other refusal
 * the words are their author's again, however soon they may be said. */
const PASSING = new Set(["rate_limited", "unavailable", "room_busy"]);
/* Of a text, wherever it is sent, and of a command. A server that was sent more would close, and for good. */
const MOST_CHARACTERS = 2000;
const MOST_BYTES = 16_384;
const PAGE = 100; // places of a history, as many as a server gives at once
const HALF_CHARACTERS = /\p{Surrogate}/gu;

/** `connect(url, options)` makes one. */
export class Client {
  /** @type {Listeners<Events>} */
  #listeners = new Listeners();
  #env;
  #link;
  #unwatch;
  #rooms = new Rooms();
  #questions = new Questions();
  #outbox;
  /** @type {Connection} */
  #state = "connecting";
  /** @type {Welcome | Authed | undefined} */
  #me;
  /** @type {Set<string>} */
  #uids = new Set();
  #ref = 0;
  #named = 0;
  #name;
  #closed = false;
  /** @type {Record<string, any>} */
  #timers = {};

  /**
   * @param {string} url of the WebSocket, `wss://host/ws`
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    const { rooms = [], token, guest, name, queue, codec = JSON_CODEC, WebSocket, env } = options;
    if (!WebSocket && !env?.connect && !globalThis.WebSocket) {
      throw new TypeError("there is no WebSocket here: give one as the option `WebSocket`");
    }
    this.#env = { ...world(WebSocket), ...env };
    this.#name = this.#env.random().toString(36).slice(2, 12);
    this.#outbox = new Outbox(queue);
    for (const room of rooms) this.#rooms.follow(room, false);
    const on = {
      state: (/** @type {ConnectionChange} */ change) => this.#changed(change),
      event: (/** @type {WireEvent} */ event) => this.#handle(event),
      down: () => this.#down(),
    };
    const link = new Link({ url: new URL(url).href, env: this.#env, codec, token, guest, name, on });
    this.#link = link;
    this.#unwatch = this.#env.watch({ online: () => link.online(), offline: () => link.offline() });
    this.#after("start", 0, () => link.start()); // who made this is to hear all of it
    this.#sweep();
  }

  // -- who, where, and how it is doing

  get state() {
    return this.#state;
  }

  /** Who the server says one is; undefined before the first `welcome`. */
  get me() {
    return this.#me;
  }

  /** The rooms that are followed, also those one is not in just now. */
  get rooms() {
    return this.#rooms.names;
  }

  /** How many messages wait to be acknowledged. */
  get queued() {
    return this.#outbox.size;
  }

  /**
   * Whether a uid is or was one's own: a guest that cannot come back as itself gets a new one.
   * @param {string} uid
   */
  isOwn(uid) {
    return this.#uids.has(uid);
  }

  /**
   * Whether one is in a room, and hears what is said there.
   * @param {string} room
   */
  isIn(room) {
    return this.#rooms.isLive(room);
  }

  /**
   * Call `listener` with each event of a name; what comes back ends that.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(event: Events[Name]) => void} listener
   * @returns {() => void}
   */
  on(name, listener) {
    return this.#listeners.on(name, listener);
  }

  /** Try again now, whatever stood in the way: a wait, a refusal, or having been sent out. */
  retry() {
    this.#rooms.wantAll(this.#link.up);
    this.#link.retry();
    this.#pumpJoins();
  }

  /** Leave, for good. What waits is rejected with `closed`. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#link.close();
    for (const timer of Object.values(this.#timers)) this.#env.clearTimeout(timer);
    this.#reject(this.#outbox.clear(), CLOSED);
  }

  // -- rooms

  /**
   * Follow a room. One that was refused, or that one was sent out of, is asked for again. Throws a
   * DanmakuError for a name of more than a server takes at once.
   * @param {string} room
   */
  join(room) {
    this.#rooms.follow(room, this.#link.up);
    this.#pumpJoins();
  }

  /**
   * Follow a room no more. What waits to be sent there is rejected with `not_joined`.
   * @param {string} room
   */
  leave(room) {
    const followed = this.#rooms.get(room);
    if (!followed) return;
    this.#rooms.forget(room);
    if (followed.stage !== OUT) this.#link.send({ t: "leave", room });
    this.#joinAnswered();
    this.#reject(this.#outbox.clear(room), NOT_JOINED);
    this.#pump();
  }

  // -- what one says and asks

  /**
   * Say something. It waits up to four minutes to be sent, and is sent again, under the same id, for
   * up to four more: over reconnects, and when the server says that it may be said in a moment. So it
   * is published once, or rejected.
   * Rejected with a DanmakuError: the server's code, `queue_full`, `not_joined`, `closed`, `expired`
   * where it was not published, or `unanswered` where nobody can know whether it was.
   * @param {string} room
   * @param {string} text
   * @param {SendOptions} [options]
   * @returns {Promise<Ack>}
   */
  send(room, text, { id = this.#nextId(), ...style } = {}) {
    return new Promise((resolve, reject) => {
      const followed = this.#rooms.get(room);
      if (this.#closed) return reject(new DanmakuError(CLOSED));
      if (!followed || followed.stage === OUT) return reject(new DanmakuError(NOT_JOINED));
      if ([...text].length > MOST_CHARACTERS) return reject(new DanmakuError(TOO_LONG));
      const said = { ...style, room, text: text.replace(HALF_CHARACTERS, "\ufffd"), id };
      const taken = this.#outbox.add(said, { resolve, reject }, this.#env.now());
      return taken ? this.#pump() : reject(new DanmakuError(QUEUE_FULL));
    });
  }

  /**
   * Like a room, `count` times. `Likes` gathers taps.
   * @param {string} room
   * @param {{kind?: string, count?: number}} [options]
   * @returns {Promise<Done>}
   */
  like(room, { kind, count } = {}) {
    return this.ask({ t: "like", room, kind, count });
  }

  /**
   * A moderator's action, with its fields as in docs/moderation.md.
   * @param {string} room
   * @param {string} action
   * @param {Record<string, unknown>} [fields]
   * @returns {Promise<Done>}
   */
  moderate(room, action, fields) {
    return this.ask({ ...fields, t: "moderate", room, action });
  }

  /**
   * Ask those who judge it to look at a message.
   * @param {string} room
   * @param {number} seq
   * @param {{epoch?: string, reason?: string}} [options]
   * @returns {Promise<Done>}
   */
  report(room, seq, { epoch, reason } = {}) {
    return this.ask({ t: "report", room, seq, epoch, reason });
  }

  /**
   * Page back: the messages among at most `limit` places before a seq, or of the newest. The next
   * older page is that `before` its `first`.
   * @param {string} room
   * @param {{before?: number, limit?: number}} [options]
   * @returns {Promise<{messages: Message[], first?: number, more: boolean}>}
   */
  async history(room, { before, limit } = {}) {
    const page = await this.ask({ t: "history", room, before, limit });
    const first = page.history[0]?.seq;
    return { messages: expand(page.history, { room, epoch: page.epoch, seq: first }), first, more: page.more };
  }

  /**
   * What is still kept of what a `gap` said is missing, in order: the messages, what took others back,
   * and how many places are gone for good. Nothing where numbers began anew.
   * @param {Pick<Gap, "room" | "epoch" | "seq" | "lost">} gap
   * @returns {Promise<{messages: Message[], removals: Removal[], lost: number}>}
   */
  async missed({ room, epoch, seq, lost }) {
    const found = { messages: /** @type {Message[]} */ ([]), removals: /** @type {Removal[]} */ ([]) };
    const seen = seq - lost;
    let before = seq + 1;
    for (let more = true; more && before > seen + 1;) {
      const limit = Math.min(PAGE, before - seen - 1);
      const page = await this.ask({ t: "history", room, before, limit });
      if (page.epoch !== epoch) break; // these numbers are others' now
      const first = page.history[0]?.seq ?? before - limit; // without one all of them are hidden
      found.messages.unshift(...expand(page.history, { room, epoch, seq: first }, seen));
      found.removals.unshift(...removals(page.history, first, seen).map((each) => ({ ...each, room })));
      [before, more] = [first, page.more];
    }
    return { ...found, lost: Math.max(0, before - seen - 1) };
  }

  /**
   * Be who a token says, now and on connections to come. Without a connection it is kept for the
   * next one, and one that was turned away tries again.
   * @param {Token} token
   * @returns {Promise<Authed | undefined>} nothing, where there is no connection now
   */
  async authenticate(token) {
    const before = this.#link.token;
    this.#link.token = token;
    if (!this.#link.up) return void (this.#state === "closed" && this.#link.retry());
    try {
      return await this.#show(token);
    } catch (error) { // the next connection comes with what was good for this one
      if (this.#link.token === token) this.#link.token = before;
      throw error;
    }
  }

  /**
   * A guest's new name, now and from now on.
   * @param {string} name
   * @returns {Promise<Authed>}
   */
  async rename(name) {
    const authed = await this.ask({ t: "auth", name });
    this.#link.rename(name);
    return authed;
  }

  /**
   * Any command that is answered once, by an event or an error. What one has to be in a room for is
   * sent when the join is answered. Not sent again: without a connection, or where it ends first,
   * rejected with `unanswered`.
   * @param {Command} command
   * @returns {Promise<any>}
   */
  ask(command) {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new DanmakuError(CLOSED));
      if (!this.#link.up) return reject(new DanmakuError(UNANSWERED));
      if (bytes(command) > MOST_BYTES) return reject(new DanmakuError(TOO_LARGE));
      this.#questions.add(this.#nextRef(), command, { resolve, reject }, this.#env.now());
      this.#pump();
    });
  }

  // -- what arrives

  /** @param {WireEvent} event */
  #handle(event) {
    switch (event.t) {
      case "welcome":
        return this.#welcomed(/** @type {any} */ (event));
      case "authed":
        return this.#authed(/** @type {any} */ (event));
      case "ack":
        return this.#acked(/** @type {any} */ (event));
      case "done":
      case "history":
      case "pong":
        return void this.#questions.answered(event);
      case "error":
        return this.#refused(event);
      case "expiring":
        return this.#expiring(/** @type {any} */ (event));
      case "notice":
      case "bye":
        return this.#listeners.emit(event.t, /** @type {any} */ (event));
      default:
        return this.#inRoom(event);
    }
  }

  /** @param {WireEvent} event */
  #inRoom(event) {
    const room = this.#rooms.get(event.room);
    if (!room) return;
    const was = room.stage;
    const news = room.take(event, this.#env.now());
    if (was === ASKED && room.stage === LIVE) this.#joinAnswered();
    for (const each of news) {
      if (this.#closed || this.#rooms.get(event.room) !== room) return; // by a listener
      this.#tell(each);
    }
    if (was === ASKED && room.stage === LIVE) this.#settleDoubts(event.room);
    if (room.stage === OUT && was !== OUT) this.#isOut(event.room);
    if (room.stage === WANTED) this.#pumpJoins();
    if (was !== LIVE) this.#pump();
  }

  /** @param {News} news */
  #tell([name, event]) {
    if (name === "messages") this.#notice(event.messages);
    this.#listeners.emit(name, event);
    if (name !== "messages" || !this.#listeners.wants("message")) return;
    for (const message of event.messages) this.#listeners.emit("message", message);
  }

  /**
   * One's own messages among others.
   * @param {Message[]} messages
   */
  #notice(messages) {
    if (this.#outbox.size === 0) return;
    for (const message of messages) if (this.isOwn(message.uid)) this.#outbox.echoed(message);
  }

  /** @param {Welcome} event */
  #welcomed(event) {
    this.#is(event);
    this.#listeners.emit("welcome", event);
    this.#rooms.welcomed();
    this.#pumpJoins();
  }

  /** @param {Authed} event */
  #authed(event) {
    this.#is(event);
    this.#listeners.emit("authed", event);
    this.#questions.answered(event);
    for (const room of this.#rooms.names) if (this.isIn(room)) this.#settleDoubts(room);
  }

  /** @param {Welcome | Authed} event */
  #is(event) {
    this.#me = event;
    this.#uids.add(event.uid);
  }

  /** @param {{t: "expiring", in_s: number}} event */
  #expiring(event) {
    this.#listeners.emit("expiring", event);
    const { token } = this.#link;
    if (typeof token !== "function") return;
    this.#show(token).catch((/** @type {any} */ { code = "no_token", message }) => {
      this.#listeners.emit("error", { code, message, again: false }); // the next connection asks anew
    });
  }

  /**
   * @param {Token} token
   * @returns {Promise<Authed>}
   */
  async #show(token) {
    const given = typeof token === "function" ? await token() : token;
    return this.ask({ t: "auth", token: given || "" });
  }

  /** @param {Ack & {ref: unknown}} event */
  #acked(event) {
    this.#outbox.acked(event.ref)?.promised.resolve(event);
    this.#pump();
  }

  /** @param {WireEvent} event */
  #refused(event) {
    const now = this.#env.now();
    const retryAt = event.retry_after === undefined ? undefined : now + event.retry_after * 1000;
    const room = this.#rooms.asked(event.ref);
    if (room) return this.#turnedAway(room, event, retryAt);
    if (this.#questions.answered(event)) return;
    const againAt = PASSING.has(event.code) ? retryAt : undefined;
    const { random } = this.#env;
    const everywhere = event.code === "rate_limited";
    const doubtful = event.code === "unavailable"; // the server's store may have it, and not have said so
    const entry = this.#outbox.refused(event.ref, { againAt, random, everywhere, doubtful });
    if (entry && againAt === undefined) this.#reject([entry], /** @type {any} */ (event));
    else this.#listeners.emit("error", told(event, entry?.said.room, entry !== undefined));
    return this.#pump();
  }

  /**
   * The join was refused. Who is banned comes in again when its owner says so, however soon it ends.
   * @param {import("./room.js").Room} room
   * @param {WireEvent} event
   * @param {number | undefined} retryAt
   */
  #turnedAway(room, event, retryAt) {
    const { name } = room;
    const againAt = event.code === "banned" ? undefined : retryAt;
    room.refused(againAt, this.#env.random);
    if (againAt !== undefined && event.code === "rate_limited") this.#rooms.hold(room.joinAt);
    this.#joinAnswered();
    this.#listeners.emit("refused", { ...told(event, name, againAt !== undefined), room: name });
    if (room.stage === OUT) this.#isOut(name);
    this.#pumpJoins();
  }

  /** @param {string} room */
  #isOut(room) {
    this.#joinAnswered();
    this.#reject(this.#outbox.clear(room), NOT_JOINED);
    this.#pump();
  }

  /**
   * What was sent as somebody one is no more, and what its room's answer tells of it.
   * @param {string} room
   */
  #settleDoubts(room) {
    if (!this.#me) return;
    this.#giveUp(this.#outbox.inDoubt(room, this.#me.uid));
  }

  /**
   * What is not sent again: it came by, nobody knows, or it was not published.
   * @param {import("./outbox.js").Entry[]} entries
   */
  #giveUp(entries) {
    for (const entry of entries) {
      if (entry.echo) entry.promised.resolve(entry.echo);
      else this.#reject([entry], entry.uid === null ? EXPIRED : IN_DOUBT);
    }
  }

  // -- the connection

  /** @param {ConnectionChange} change */
  #changed(change) {
    this.#state = change.state;
    this.#listeners.emit("connection", change);
  }

  #down() {
    this.#cancel("join");
    this.#rooms.lost();
    this.#outbox.unsend();
    this.#questions.giveUp(this.#closed ? CLOSED : UNANSWERED);
  }

  // -- what goes out

  #pumpJoins() {
    if (!this.#link.up) return;
    const now = this.#env.now();
    const { rooms, next } = this.#rooms.due(now);
    for (const room of rooms) {
      this.#link.send(room.join(this.#nextRef(), now));
      this.#link.expect();
    }
    if (next < Infinity) this.#after("join", next - now, () => this.#pumpJoins());
  }

  #joinAnswered() {
    if (this.#rooms.joining) this.#link.expect();
    else this.#link.answered();
    this.#pumpJoins();
  }

  #pump() {
    if (!this.#link.up) return;
    const now = this.#env.now();
    for (const command of this.#questions.due((room) => this.#rooms.isComing(room))) this.#link.send(command);
    const uid = this.#me?.uid ?? "";
    const how = { uid, nextRef: () => this.#nextRef(), isLive: (/** @type {string} */ room) => this.isIn(room) };
    for (const { said, ref } of this.#outbox.due(now, how)) this.#link.send({ t: "send", ...said, ref });
    const held = this.#outbox.heldMs(now);
    if (held > 0) this.#after("pump", held, () => this.#pump());
  }

  /**
   * @param {import("./outbox.js").Entry[]} entries
   * @param {{code: string, message?: string}} why
   */
  #reject(entries, why) {
    for (const { promised } of entries) promised.reject(new DanmakuError(why));
  }

  #sweep() {
    const now = this.#env.now();
    this.#giveUp(this.#outbox.expire(now));
    this.#outbox.unanswered(now);
    this.#questions.giveUp(UNANSWERED, now);
    this.#pump();
    this.#after("sweep", SWEEP_MS, () => this.#sweep());
  }

  #nextRef() {
    this.#ref += 1;
    return this.#ref;
  }

  #nextId() {
    this.#named += 1;
    return `${this.#name}-${this.#named}`;
  }

  /**
   * Timers by name: setting one replaces its predecessor.
   * @param {string} name
   * @param {number} ms
   * @param {() => void} run
   */
  #after(name, ms, run) {
    this.#cancel(name);
    this.#timers[name] = this.#env.setTimeout(run, ms);
  }

  /** @param {string} name */
  #cancel(name) {
    this.#env.clearTimeout(this.#timers[name]);
  }
}

/**
 * An error as listeners get it.
 * @param {WireEvent} event
 * @param {string | undefined} room
 * @param {boolean} again
 */
function told({ code, message, retry_after }, room, again) {
  return { code, message, retry_after, room, again };
}

/** @param {Command} command */
function bytes(command) {
  return new TextEncoder().encode(JSON.stringify(command)).length;
}
