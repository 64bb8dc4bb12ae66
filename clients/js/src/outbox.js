/* Messages that are not yet known to be delivered, in the order they were given.
 *
 * Rule: no socket, no timer; time comes in as `now` (ms), what to send goes out as a list.
 * An entry is waiting -> sent -> gone, and back to waiting when the link or the server's patience
 * fails. It keeps one `id` through all of that: the server delivers an id once per sender.
 * Danger: a guest who reconnects may be a new sender, for whom the server cannot know the id. What was
 * sent as another is therefore not sent again: it was delivered if it came by (`echoed`), and is in
 * doubt if not. `uid` is by whom it may have been published, as nobody knows yet; null: by nobody.
 */

import { backoffMs } from "./backoff.js";

/** @import { Ack, Message, SendOptions } from "./types.js" */
/**
 * @typedef {SendOptions & {room: string, text: string, id: string}} Said
 * @typedef {{resolve: (ack: Ack) => void, reject: (error: Error) => void}} Promised
 * @typedef {{
 *   said: Said, promised: Promised, born: number, ref: number | null, sentAt: number,
 *   doubtAt: number, refusals: number, uid: string | null, before: string | null, echo: Ack | null,
 * }} Entry
 */

export const CAPACITY = 20;
/* The server refills 10 commands a second; a few in flight never meets that limit. */
const WINDOW = 5;
/* The server remembers an id for 5 minutes: after that a repeat would be a second message. And what
 * could not be said for so long is its author's again. */
const LIFETIME_MS = 4 * 60_000;
const ANSWER_MS = 10_000;
const EVERYWHERE = Symbol("every room");

export class Outbox {
  #capacity;
  /** @type {Entry[]} */
  #entries = [];
  /** @type {Map<string | symbol, number>} */
  #heldUntil = new Map();

  constructor(capacity = CAPACITY) {
    this.#capacity = capacity;
  }

  get size() {
    return this.#entries.length;
  }

  /**
   * False when full: who gave it hears about it instead of the queue growing.
   * @param {Said} said
   * @param {Promised} promised
   * @param {number} now
   */
  add(said, promised, now) {
    if (this.#entries.length >= this.#capacity) return false;
    const fresh = { born: now, ref: null, sentAt: 0, doubtAt: 0, refusals: 0, uid: null, before: null, echo: null };
    this.#entries.push({ said, promised, ...fresh });
    return true;
  }

  /**
   * Entries to put on the wire now, each given a ref by `nextRef`. A room's come in order.
   * @param {number} now
   * @param {{uid: string, nextRef: () => number, isLive: (room: string) => boolean}} how
   */
  due(now, { uid, nextRef, isLive }) {
    const may = (/** @type {Entry} */ { said: { room }, uid: sender }) =>
      isLive(room) && this.#heldMs(room, now) === 0 && (sender ?? uid) === uid;
    const flying = this.#entries.filter(({ ref }) => ref !== null).length;
    const waiting = this.#entries.filter((entry) => entry.ref === null && may(entry));
    const ready = waiting.slice(0, Math.max(0, WINDOW - flying));
    for (const entry of ready) {
      if (entry.uid === null) entry.doubtAt = now;
      Object.assign(entry, { ref: nextRef(), sentAt: now, before: entry.uid, uid });
    }
    return ready;
  }

  /**
   * Milliseconds until `due` may answer again; 0 when nothing holds it.
   * @param {number} now
   */
  heldMs(now) {
    const held = this.#entries
      .filter(({ ref }) => ref === null)
      .map(({ said }) => this.#heldMs(said.room, now))
      .filter((ms) => ms > 0);
    return held.length ? Math.min(...held) : 0;
  }

  /** @param {unknown} ref */
  acked(ref) {
    return this.#take((entry) => entry.ref === ref && ref !== undefined)[0];
  }

  /**
   * A message of one's own came by. If what was sent as another is in doubt later, this answers it.
   * @param {Message} message
   */
  echoed({ room, seq, id, uid, ts, text }) {
    const sent = this.#entries.find(({ said, echo, uid: sender }) =>
      sender === uid && echo === null && said.room === room && said.text.trim() === text);
    if (sent) sent.echo = { t: "ack", room, seq, id, ts };
  }

  /**
   * Take out what was sent to a room as somebody else than `uid`, and can be answered by nobody.
   * @param {string} room
   * @param {string} uid
   */
  inDoubt(room, uid) {
    return this.#take(({ said, ref, uid: sender }) =>
      said.room === room && ref === null && sender !== null && sender !== uid);
  }

  /**
   * An error answered `ref`. With a time to try again the entry waits, and its room or all with it,
   * for that and a back-off's wait: many were told the same time.
   * @param {unknown} ref
   * @param {{againAt?: number, random?: () => number, everywhere?: boolean, doubtful?: boolean}} again
   *   `doubtful`: it may have been published all the same
   */
  refused(ref, { againAt, random = Math.random, everywhere = false, doubtful = false }) {
    const entry = this.#entries.find((candidate) => candidate.ref === ref && ref !== undefined);
    if (!entry) return undefined;
    if (againAt === undefined) return this.#take((candidate) => candidate === entry)[0];
    entry.ref = null;
    if (!doubtful) entry.uid = entry.before; // this sending has not published it
    const until = againAt + backoffMs(entry.refusals, random);
    entry.refusals += 1;
    const what = everywhere ? EVERYWHERE : entry.said.room;
    this.#heldUntil.set(what, Math.max(this.#heldUntil.get(what) ?? 0, until));
    return entry;
  }

  /** The link broke: whatever was in flight has to be said again. */
  unsend() {
    for (const entry of this.#entries) entry.ref = null;
  }

  /**
   * Nothing came of some: they have to be said again, too.
   * @param {number} now
   */
  unanswered(now) {
    for (const entry of this.#entries) if (now - entry.sentAt > ANSWER_MS) entry.ref = null;
  }

  /**
   * Take out what has become too old to repeat safely, or to be said at all.
   * @param {number} now
   */
  expire(now) {
    return this.#take(({ born, doubtAt, uid }) => now - (uid === null ? born : doubtAt) > LIFETIME_MS);
  }

  /**
   * Take out all of a room, or all.
   * @param {string} [room]
   */
  clear(room) {
    return this.#take(({ said }) => room === undefined || said.room === room);
  }

  /**
   * @param {string} room
   * @param {number} now
   */
  #heldMs(room, now) {
    const until = Math.max(this.#heldUntil.get(room) ?? 0, this.#heldUntil.get(EVERYWHERE) ?? 0);
    if (until <= now) this.#heldUntil.delete(room);
    return Math.max(0, until - now);
  }

  /** @param {(entry: Entry) => boolean} matches */
  #take(matches) {
    const taken = this.#entries.filter(matches);
    this.#entries = this.#entries.filter((entry) => !taken.includes(entry));
    return taken;
  }
}
