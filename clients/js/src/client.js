/* A viewer in one room: joining, following, catching up, sending until acknowledged.
 *
 * Rule: this is where the wire's events get their meaning; it holds no socket (link.js) and no DOM
 * (app.js hears of everything through `on`).
 * While a join is unanswered no span is taken, of messages or of anything else that has numbers: the
 * answer's history and position cover it.
 * That one rule serves the first join, the one after a reconnect, and the one that fills a jump.
 */

import { BROWSER, Link } from "./link.js";
import { expand, timeAt } from "./messages.js";
import { Outbox } from "./outbox.js";
import { JUMP, NEW, Position } from "./position.js";
import { removals } from "./redaction.js";

const RESYNC_SPACING_MS = 1000;
const SWEEP_MS = 5000;
/* Worth sending again by ourselves: what stands in the way is gone in seconds. After any other refusal
 * the words are their author's again, however soon they may be said. */
const PASSING = new Set(["rate_limited", "unavailable", "room_busy"]);
const UNANSWERED = { t: "error", code: "unanswered", message: "There is no connection just now." };
const NO_REF = 0; // a join is decided on but not sent yet; real refs start at 1

export class Client {
  #on;
  #env;
  #link;
  #room;
  #position = new Position();
  #outbox = new Outbox();
  #uids = new Set();
  #live = [];
  #ref = NO_REF;
  #joinRef = null;
  #joinedAt = -Infinity;
  #timers = {};
  #asked = new Map(); // ref -> who waits for the answer
  #out = null; // why we were sent out of the room, until its owner tries again

  /** `on`: state, welcome, authed, joined, left, muted, messages, removed, ruled, gap, online,
   *  likes, joins, notice, settled, failed, error, and if it likes shed. `who`: as Link's. */
  constructor({ url, room, on, who, env = BROWSER }) {
    this.#room = room;
    this.#on = on;
    this.#env = env;
    this.#link = new Link({
      url,
      env,
      who,
      on: {
        state: on.state,
        event: (event) => this.#handle(event),
        pause: () => this.#hand(),
        down: () => this.#down(),
      },
    });
  }

  get room() {
    return this.#room;
  }

  /** Every uid this page has had: a guest that cannot come back as itself gets a new one. */
  isOwn(uid) {
    return this.#uids.has(uid);
  }

  start() {
    this.#link.start();
    this.#sweep();
  }

  retry() {
    this.#link.retry();
    if (this.#out === null) return;
    this.#out = null;
    if (this.#link.up) this.#join();
  }

  /** A guest's new name, now and from now on; `answered` as in `ask`. */
  rename(name, answered) {
    this.#link.rename(name);
    this.ask({ t: "auth", name }, answered);
  }

  /** Send a command that is answered once. `answered(event)` gets that answer, or an error of ours. */
  ask(command, answered) {
    if (!this.#link.up) return void answered(UNANSWERED);
    const ref = this.#nextRef();
    this.#asked.set(ref, answered);
    this.#link.send({ ...command, ref });
  }

  online() {
    this.#link.online();
  }

  offline() {
    this.#link.offline();
  }

  switchRoom(room) {
    const left = this.#room;
    this.#room = room;
    this.#position = new Position();
    this.#outbox.clear();
    const out = this.#out !== null;
    this.#out = null;
    if (!this.#link.up) return;
    if (!out) this.#link.send({ t: "leave", room: left });
    this.#join();
  }

  /** Queue {id, text, color, mode, size}. False when too many are unacknowledged already. */
  send(entry) {
    if (!this.#outbox.add(entry, this.#env.now())) return false;
    this.#pump();
    return true;
  }

  #down() {
    this.#hand();
    this.#joinRef = null;
    this.#cancel("join");
    this.#outbox.unsend();
    const waiting = [...this.#asked.values()];
    this.#asked.clear();
    for (const answered of waiting) answered(UNANSWERED);
  }

  // -- what arrives

  /** Live messages are gathered per frame; anything else first hands over what came before it. */
  #handle(event) {
    if (event.t === "msgs") return this.#batch(event);
    this.#hand();
    switch (event.t) {
      case "welcome":
        return this.#welcomed(event);
      case "joined":
        return this.#joined(event);
      case "gap":
        return this.#skipped(event);
      case "shed":
        return this.#follows(event) && this.#leftOut(event);
      case "delete":
      case "clear":
        return this.#isNext(event) && this.#on.removed([event]);
      case "state":
        return this.#isNext(event) && this.#on.ruled(event.state);
      case "left":
        return this.#left(event);
      case "muted":
        return event.room === this.#room && this.#on.muted(event);
      case "authed":
        this.#uids.add(event.uid);
        this.#on.authed(event);
        return this.#answered(event);
      case "done":
        return this.#answered(event);
      case "online":
        return event.room === this.#room && this.#on.online(event.count);
      case "likes":
        return event.room === this.#room && this.#on.likes(event.counts);
      case "joins":
        return event.room === this.#room && this.#on.joins(event);
      case "notice":
        return this.#on.notice(event);
      case "ack":
        return this.#acked(event);
      case "error":
        return this.#refused(event);
      default: // pong, bye, expiring, and whatever a newer server adds
        return undefined;
    }
  }

  #batch(event) {
    const seen = this.#position.seq;
    if (!this.#isNext({ ...event, ts: timeAt(event.m, event.to, event.seq) })) return;
    for (const message of expand(event.m, event, seen)) this.#live.push(message);
    this.#remove(removals(event.m, event.seq, seen));
  }

  /** Whether an event goes on from the position, which then is past it. A jump is asked about. */
  #isNext(event) {
    if (!this.#follows(event)) return false;
    const taken = this.#position.take(event);
    if (taken === JUMP) this.#resync();
    return taken === NEW;
  }

  /** More was said than is shown: `count` messages up to there. */
  #leftOut({ seq, count }) {
    this.#position.shed(seq);
    this.#on.shed?.({ count });
  }

  #follows(event) {
    return event.room === this.#room && this.#joinRef === null && this.#position.known;
  }

  #hand() {
    const messages = this.#live.splice(0);
    if (!messages.length) return;
    this.#settleEchoes(messages);
    this.#on.messages(messages);
  }

  /** What is still held back may be among what is meant. */
  #remove(removed) {
    if (!removed.length) return;
    this.#hand();
    this.#on.removed(removed);
  }

  #welcomed(event) {
    this.#uids.add(event.uid);
    this.#on.welcome(event);
    if (this.#out === null) this.#join();
    else this.#stayOut();
  }

  /** Sent out: not by our own wish, so not to be undone by ourselves. What was typed is given back. */
  #left({ room, reason }) {
    if (room === this.#room && reason !== undefined) this.#sentOut(reason);
  }

  #sentOut(reason) {
    this.#out = reason;
    this.#position = new Position();
    this.#joinRef = null; // what is typed now is answered with not_joined
    this.#cancel("join");
    for (const entry of this.#outbox.entries) this.#on.failed(entry, { code: "not_joined" });
    this.#outbox.clear();
    this.#stayOut();
  }

  #stayOut() {
    this.#link.answered();
    this.#on.left({ reason: this.#out });
  }

  #answered(event) {
    const answered = this.#asked.get(event.ref);
    this.#asked.delete(event.ref);
    answered?.(event);
  }

  #joined(event) {
    if (event.room !== this.#room) return;
    if (event.ref !== undefined && event.ref !== this.#joinRef) return;
    this.#joinRef = null;
    const { seen, missed } = this.#position.join(event);
    const messages = expand(event.history, event, seen);
    this.#settleEchoes(messages);
    const { online, state: rules = {}, role, likes = {} } = event;
    this.#on.joined({ messages, missed, online, rules, role, likes });
    this.#remove(removals(event.history, event.seq, seen));
    this.#link.ready();
    this.#pump();
  }

  #skipped(event) {
    if (!this.#follows(event)) return; // the answer to the join tells of it
    if (this.#position.jumpsTo(event)) return this.#resync();
    const anew = this.#position.skip(event);
    this.#on.gap({ lost: event.lost, anew });
  }

  #acked(event) {
    const entry = this.#outbox.acked(event.ref, event.seq);
    if (entry) this.#on.settled(entry, event);
    this.#pump();
  }

  #settleEchoes(messages) {
    for (const message of messages) {
      const entry = this.isOwn(message.uid) && this.#outbox.echoed(message);
      if (entry) this.#on.settled(entry, message);
    }
  }

  #refused(event) {
    const retryMs = event.retry_after === undefined ? undefined : event.retry_after * 1000;
    const answersJoin = event.ref !== undefined && event.ref === this.#joinRef;
    if (answersJoin) return this.#turnedAway(event, retryMs);
    if (this.#asked.has(event.ref)) return this.#answered(event);
    const again = PASSING.has(event.code) ? retryMs : undefined;
    const entry = this.#outbox.refused(event.ref, again, this.#env.now());
    if (entry && again === undefined) this.#on.failed(entry, event);
    else this.#on.error({ ...event, again: again !== undefined });
    return this.#pump();
  }

  /** The join was refused. The link itself is fine; what is typed now is answered with not_joined. */
  #turnedAway(event, retryMs) {
    if (event.code === "banned") return this.#sentOut(event.message);
    if (retryMs === undefined) {
      this.#joinRef = null;
      this.#link.ready();
    } else {
      this.#joinRef = NO_REF;
      this.#link.answered();
      this.#after("join", retryMs, () => this.#join());
    }
    this.#on.error({ ...event, again: retryMs !== undefined });
  }

  // -- what goes out

  #join() {
    this.#cancel("join");
    this.#joinRef = this.#nextRef();
    this.#joinedAt = this.#env.now();
    this.#link.expect();
    const { since } = this.#position;
    this.#link.send({ t: "join", room: this.#room, since, ref: this.#joinRef });
  }

  /** Ask for what we missed; spaced, so a room we cannot follow does not become a loop of joins. */
  #resync() {
    this.#joinRef = NO_REF;
    const wait = this.#joinedAt + RESYNC_SPACING_MS - this.#env.now();
    if (wait > 0) this.#after("join", wait, () => this.#join());
    else this.#join();
  }

  #pump() {
    if (!this.#link.up || this.#joinRef !== null) return;
    const now = this.#env.now();
    for (const { id, text, color, mode, size, ref } of this.#outbox.due(now, () => this.#nextRef())) {
      this.#link.send({ t: "send", room: this.#room, text, color, mode, size, id, ref });
    }
    const held = this.#outbox.heldMs(now);
    if (held > 0) this.#after("pump", held, () => this.#pump());
  }

  #sweep() {
    for (const entry of this.#outbox.expire(this.#env.now())) {
      this.#on.failed(entry, { code: "expired", message: "Could not be sent in time" });
    }
    this.#after("sweep", SWEEP_MS, () => this.#sweep());
  }

  #nextRef() {
    this.#ref += 1;
    return this.#ref;
  }

  // -- timers by name: setting one replaces its predecessor

  #after(name, ms, run) {
    this.#cancel(name);
    this.#timers[name] = this.#env.setTimeout(run, ms);
  }

  #cancel(name) {
    this.#env.clearTimeout(this.#timers[name]);
  }
}
