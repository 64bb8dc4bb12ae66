/* Commands that are answered once, and who waits for the answer.
 *
 * Rule: no socket, no timer; time comes in as `now` (ms), what to send goes out as a list. What one has
 * to be in a room for waits while one is on the way into it.
 */

import { DanmakuError } from "./errors.js";

/** @import { Command } from "./types.js" */

const ANSWER_MS = 10_000;
const INSIDE = new Set(["like", "report", "history"]);

export class Questions {
  /** @type {Map<unknown, {resolve: (answer: any) => void, reject: (error: Error) => void, due: number}>} */
  #asked = new Map();
  /** @type {Map<number, Command>} */
  #unsent = new Map();

  /**
   * A command is to be sent with `ref`, and answered.
   * @param {number} ref
   * @param {Command} command
   * @param {{resolve: (answer: any) => void, reject: (error: Error) => void}} promised
   * @param {number} now
   */
  add(ref, command, { resolve, reject }, now) {
    this.#asked.set(ref, { resolve, reject, due: now + ANSWER_MS });
    this.#unsent.set(ref, { ...command, ref });
  }

  /**
   * Commands to be sent now.
   * @param {(room: any) => boolean} isComing whether one is about to be in a room
   */
  due(isComing) {
    const ready = [...this.#unsent].filter(([, { t, room }]) => !(INSIDE.has(t) && isComing(room)));
    for (const [ref] of ready) this.#unsent.delete(ref);
    return ready.map(([, command]) => command);
  }

  /**
   * An event or an error came; whether it was waited for.
   * @param {import("./types.js").WireEvent} event
   */
  answered(event) {
    const waiting = this.#asked.get(event.ref);
    if (!waiting) return false;
    this.#asked.delete(event.ref);
    if (event.t === "error") waiting.reject(new DanmakuError(/** @type {any} */ (event)));
    else waiting.resolve(event);
    return true;
  }

  /**
   * No answer will come any more: to any, or to those that are overdue `now`.
   * @param {{code: string, message: string}} why
   * @param {number} [now]
   */
  giveUp(why, now = Infinity) {
    for (const [ref, { reject, due }] of [...this.#asked]) {
      if (due > now) continue;
      this.#asked.delete(ref);
      this.#unsent.delete(/** @type {number} */ (ref));
      reject(new DanmakuError(why));
    }
  }
}
