/* Likes as they are tapped: shown at once, gathered for a second, sent together.
 *
 * Rule: no socket, no DOM. `send(count)` sends them and is rejected where they were not taken;
 * `show(total)` shows the room's sum with one's own in it, also before the server has counted
 * them. What is shown goes down only when likes were not taken, or with another room.
 */

import { world } from "./env.js";

const GATHER_MS = 1000;
const MOST = 100; // of one command

export class Likes {
  #send;
  #show;
  #env;
  #total = 0; // as the server says
  #sent = 0; // and not yet in that, as far as one can tell
  #tapped = 0; // and not sent yet
  /** @type {any} */
  #timer;

  /**
   * @param {{
   *   send: (count: number) => Promise<unknown>, show: (total: number) => void,
   *   env?: Pick<import("./types.js").Env, "setTimeout" | "clearTimeout">,
   * }} parts
   */
  constructor({ send, show, env = world() }) {
    this.#send = send;
    this.#show = show;
    this.#env = env;
  }

  tap() {
    if (this.#tapped === MOST) return;
    this.#tapped += 1;
    if (this.#tapped === 1) this.#timer = this.#env.setTimeout(() => this.#flush(), GATHER_MS);
    this.#shown();
  }

  /**
   * The sum as it is told. One that has not grown by what was sent does not have it all yet.
   * @param {number} total
   */
  told(total) {
    if (total < this.#total + this.#sent) return;
    this.#total = total;
    this.#sent = 0;
    this.#shown();
  }

  /**
   * The sum of a room one comes into; what was sent in another is not for this one.
   * @param {number} total
   */
  enter(total) {
    this.#total = total;
    this.#sent = 0;
    this.#shown();
  }

  leave() {
    this.#env.clearTimeout(this.#timer);
    this.#tapped = 0;
    this.enter(0);
  }

  #flush() {
    const count = this.#tapped;
    this.#tapped = 0;
    this.#sent += count;
    this.#send(count).catch(() => {
      this.#sent = Math.max(0, this.#sent - count);
      this.#shown();
    });
  }

  #shown() {
    this.#show(this.#total + this.#sent + this.#tapped);
  }
}
