/* One room as this client follows it: whether a join is under way, and what an event means there.
 *
 * Rule: no socket, no timer; time comes in as `now` (ms), commands and what listeners are to be told
 * go out. A room is down -> wanted -> asked -> live, and wanted again when something is missing; or
 * out, when it was refused or one was sent out, until its owner tries again.
 * While a join is unanswered no span is taken, of messages or of anything else that has numbers: the
 * answer's history and position cover it. That one rule serves the first join, the one after a
 * reconnect, and the one that fills a jump.
 */

import { backoffMs } from "./backoff.js";
import { expand, timeAt } from "./messages.js";
import { JUMP, NEW, Position } from "./position.js";
import { removals } from "./redaction.js";

/** @import { Events, Place, WireEvent } from "./types.js" */
/** @typedef {{[Name in keyof Events]: [Name, Events[Name]]}[keyof Events]} News */

export const DOWN = "down";
export const WANTED = "wanted";
export const ASKED = "asked";
export const LIVE = "live";
export const OUT = "out";

const SPACING_MS = 1000; // a room we cannot follow must not become a loop of joins

export class Room {
  #name;
  #stage = DOWN;
  #position = new Position();
  /** @type {number | undefined} */
  #ref;
  #askedAt = -Infinity;
  #notBefore = -Infinity;
  #refusals = 0;

  /** @param {string} name */
  constructor(name) {
    this.#name = name;
  }

  get name() {
    return this.#name;
  }

  get stage() {
    return this.#stage;
  }

  /** When the join that is wanted may be asked for. */
  get joinAt() {
    return this.#notBefore;
  }

  /**
   * Its owner wants in, at once if there is a connection.
   * @param {boolean} up
   */
  want(up) {
    if (up && (this.#stage === LIVE || this.#stage === ASKED)) return;
    this.#stage = up ? WANTED : DOWN;
    this.#notBefore = -Infinity;
  }

  /** The connection ended. */
  lost() {
    if (this.#stage !== OUT) this.#stage = DOWN;
  }

  /**
   * The command that joins.
   * @param {number} ref
   * @param {number} now
   */
  join(ref, now) {
    this.#stage = ASKED;
    this.#ref = ref;
    this.#askedAt = now;
    return { t: "join", room: this.#name, since: this.#position.since, ref };
  }

  /** @param {unknown} ref */
  asked(ref) {
    return this.#stage === ASKED && ref === this.#ref;
  }

  /**
   * The join was refused, until `retryAt` and a back-off's wait behind it, for many were told the
   * same; or for good.
   * @param {number | undefined} retryAt
   * @param {() => number} [random]
   */
  refused(retryAt, random = Math.random) {
    if (retryAt === undefined) return this.#leaveOut();
    this.#stage = WANTED;
    this.#notBefore = retryAt + backoffMs(this.#refusals, random);
    this.#refusals += 1;
  }

  /**
   * Act on an event of this room; what of it is news.
   * @param {WireEvent} event
   * @param {number} now
   * @returns {News[]}
   */
  take(event, now) {
    if (event.t === "joined") return this.asked(event.ref) ? this.#joined(event) : [];
    if (event.t === "left") return event.reason === undefined ? [] : this.#sentOut(event);
    if (this.#stage !== LIVE) return [];
    const room = this.#name;
    switch (event.t) {
      case "msgs":
        return this.#batch(event, now);
      case "delete":
      case "clear":
        return this.#isNext(event, now) ? [this.#removal(event)] : [];
      case "state":
        return this.#isNext(event, now) ? [["state", { room, state: event.state }]] : [];
      case "gap":
        return this.#skipped(event, now);
      case "shed":
        this.#position.shed(event.seq);
        return [["shed", { room, seq: event.seq, count: event.count }]];
      case "online":
      case "likes":
      case "joins":
      case "muted":
        return [[event.t, /** @type {any} */ (event)]];
      default: // what a newer server adds
        return [];
    }
  }

  /**
   * @param {WireEvent} event
   * @param {number} now
   * @returns {News[]}
   */
  #batch(event, now) {
    const seen = this.#position.seq;
    const ts = timeAt(event.m, event.to, event.seq);
    return this.#isNext({ ...event, ts }, now) ? this.#told(event.m, event, seen, false) : [];
  }

  /**
   * @param {WireEvent} event
   * @returns {News[]}
   */
  #joined(event) {
    this.#stage = LIVE;
    this.#refusals = 0;
    const { seen, missed } = this.#position.join(/** @type {any} */ (event));
    const { epoch, seq, online, recovered, state = {}, likes = {}, role } = event;
    const anew = missed === Infinity;
    const upTo = (event.history[0]?.seq ?? seq + 1) - 1;
    return [
      ...(missed > 0 ? [this.#missing({ epoch, seq: upTo, lost: anew ? 0 : missed }, anew)] : []),
      ["joined", { room: this.#name, epoch, seq, online, recovered, state, likes, role }],
      ...this.#told(event.history, event, seen, true),
    ];
  }

  /**
   * What of a list of places was not seen before, in order: what takes messages back stands behind
   * those before it.
   * @param {Place[]} places
   * @param {WireEvent} event
   * @param {number} seen
   * @param {boolean} history
   * @returns {News[]}
   */
  #told(places, { epoch, seq }, seen, history) {
    const room = this.#name;
    /** @type {News[]} */
    const news = [];
    const messages = expand(places, { room, epoch, seq }, seen);
    for (const removal of [...removals(places, seq, seen), undefined]) {
      const later = removal ? messages.findIndex((message) => message.seq > removal.seq) : -1;
      const before = messages.splice(0, later < 0 ? messages.length : later);
      if (before.length) news.push(["messages", { room, messages: before, history }]);
      if (removal) news.push(this.#removal(removal));
    }
    return news;
  }

  /**
   * @param {any} event a `delete` or `clear`
   * @returns {News}
   */
  #removal(event) {
    return [/** @type {"delete"} */ (event.t), { ...event, room: this.#name }];
  }

  /**
   * Whether an event goes on from the position, which then is past it. A jump is asked about.
   * @param {any} event
   * @param {number} now
   */
  #isNext(event, now) {
    const taken = this.#position.take(event);
    if (taken === JUMP) this.#resync(now);
    return taken === NEW;
  }

  /**
   * @param {any} event
   * @param {number} now
   * @returns {News[]}
   */
  #skipped(event, now) {
    if (this.#position.jumpsTo(event)) {
      this.#resync(now);
      return [];
    }
    return [this.#missing(event, this.#position.skip(event))];
  }

  /**
   * @param {any} gap
   * @param {boolean} anew
   * @returns {News}
   */
  #missing({ epoch, seq, lost }, anew) {
    return ["gap", { room: this.#name, epoch, seq, lost, anew }];
  }

  /** @param {number} now */
  #resync(now) {
    this.#stage = WANTED;
    this.#notBefore = Math.max(now, this.#askedAt + SPACING_MS);
  }

  /**
   * Not by one's own wish, so not to be undone by ourselves.
   * @param {WireEvent} event
   * @returns {News[]}
   */
  #sentOut({ reason }) {
    this.#leaveOut();
    return [["left", { room: this.#name, reason }]];
  }

  /** What is said meanwhile is not missed. */
  #leaveOut() {
    this.#stage = OUT;
    this.#position = new Position();
  }
}
