/* The rooms that are followed, and whose turn it is to be joined.
 *
 * Rule: no socket, no timer; time comes in as `now` (ms). Few joins are unanswered at a time, so many
 * rooms are no flood of commands after each reconnect; a rate that was reached holds all of them.
 */

import { DanmakuError, TOO_LARGE } from "./errors.js";
import { ASKED, LIVE, OUT, Room, WANTED } from "./room.js";

/* With it and a position a join is what a server takes at once; what is longer is a close. */
const MOST_NAME_BYTES = 16_000;
const AT_ONCE = 5; // well below the commands and joins a connection may have

export class Rooms {
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  #heldUntil = -Infinity;

  get names() {
    return [...this.#rooms.keys()];
  }

  /** @param {string} name */
  get(name) {
    return this.#rooms.get(name);
  }

  /** @param {string} name */
  isLive(name) {
    return this.#rooms.get(name)?.stage === LIVE;
  }

  /**
   * Whether one is on the way into a room, for the first time or again.
   * @param {string} name
   */
  isComing(name) {
    const stage = this.#rooms.get(name)?.stage;
    return stage !== undefined && stage !== LIVE && stage !== OUT;
  }

  /**
   * The room of a name, followed from now on if it was not. Throws a DanmakuError for a name that
   * no server lets anybody ask for.
   * @param {string} name
   * @param {boolean} up whether there is a connection
   */
  follow(name, up) {
    const isNew = !this.#rooms.has(name);
    const size = new TextEncoder().encode(JSON.stringify(name)).length;
    if (isNew && size > MOST_NAME_BYTES) throw new DanmakuError(TOO_LARGE);
    const room = this.#rooms.get(name) ?? new Room(name);
    this.#rooms.set(name, room);
    if (isNew || room.stage === OUT) room.want(up);
    return room;
  }

  /** @param {string} name */
  forget(name) {
    this.#rooms.delete(name);
  }

  /** Those that one was refused or sent out of, too, are wanted again. */
  wantAll(up = true) {
    for (const room of this.#rooms.values()) room.want(up);
  }

  /** There is a connection. */
  welcomed() {
    for (const room of this.#rooms.values()) if (room.stage !== OUT) room.want(true);
  }

  /** The connection ended. */
  lost() {
    for (const room of this.#rooms.values()) room.lost();
  }

  /**
   * A join was refused because of all that is asked for: none before that time.
   * @param {number} until
   */
  hold(until) {
    this.#heldUntil = until;
  }

  /** Whether a join is unanswered. */
  get joining() {
    return this.#of(ASKED).length > 0;
  }

  /**
   * The room whose unanswered join has that ref.
   * @param {unknown} ref
   */
  asked(ref) {
    return this.#of(ASKED).find((room) => room.asked(ref));
  }

  /**
   * Rooms to be joined now, and when to look again: Infinity, when something else tells.
   * @param {number} now
   */
  due(now) {
    const wanted = this.#of(WANTED);
    const at = (/** @type {Room} */ room) => Math.max(room.joinAt, this.#heldUntil);
    const free = Math.max(0, AT_ONCE - this.#of(ASKED).length);
    const rooms = wanted.filter((room) => at(room) <= now).slice(0, free);
    return { rooms, next: Math.min(...wanted.map(at).filter((time) => time > now)) };
  }

  /** @param {string} stage */
  #of(stage) {
    return [...this.#rooms.values()].filter((room) => room.stage === stage);
  }
}
