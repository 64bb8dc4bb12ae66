/* Lines for a screen reader: a few of them, in a polite log that nobody sees.
 *
 * Rule: one line every EVERY_MS at most, and the newest of those that go first before the newest of all:
 * who listens cannot be read everything, and hears what is said now.
 */

/** @import { Line } from "./types.js" */

const EVERY_MS = 5000;
const KEPT = 10;

export class Log {
  #log = document.createElement("div");
  /** @type {Line | undefined} */
  #next;
  #timer;

  /** @param {ShadowRoot} root */
  constructor(root) {
    this.#log.className = "unseen";
    this.#log.setAttribute("role", "log");
    root.append(this.#log);
    this.#timer = setInterval(() => this.#tell(), EVERY_MS);
  }

  /** @param {Line} line */
  offer(line) {
    if (!this.#next?.first || line.first) this.#next = line;
  }

  destroy() {
    clearInterval(this.#timer);
    this.#log.remove();
  }

  #tell() {
    if (!this.#next) return;
    const told = document.createElement("p");
    told.textContent = `${this.#next.message.name}: ${this.#next.text}`;
    this.#next = undefined;
    this.#log.append(told);
    if (this.#log.children.length > KEPT) this.#log.firstElementChild?.remove();
  }
}
