/* Commands that are answered once, and who waits for the answer.
 *
 * Rule: no socket, no timer; time comes in as `now` (ms).
 */

import { DanmakuError } from "./errors.js";

const ANSWER_MS = 10_000;

export class Questions {
  /** @type {Map<unknown, {resolve: (answer: any) => void, reject: (error: Error) => void, due: number}>} */
  #asked = new Map();

  /**
   * What was sent with `ref` is to be answered.
   * @param {number} ref
   * @param {{resolve: (answer: any) => void, reject: (error: Error) => void}} promised
   * @param {number} now
   */
  add(ref, { resolve, reject }, now) {
    this.#asked.set(ref, { resolve, reject, due: now + ANSWER_MS });
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
      reject(new DanmakuError(why));
    }
  }
}
