/* What waits for a place on the stage.
 *
 * Rule: pure; places and time passed in. Who goes first (one's own, gifts, superchats) is asked before
 * all others; else it is first come, first served, but who finds no place does not stop who needs a
 * smaller one. Nobody waits longer than `patience`, who goes first no longer than FIRST_MS where that is
 * more. No more than MOST wait: the oldest goes then, of those that do not go first while there are any.
 */

export const MOST = 120;
export const FIRST_MS = 5000; // in which a lane comes free whatever else there is
const TRIES = 24; // a frame; looking for a lane is the dear part of it

/** @typedef {{first: boolean, at: number}} Waiting `at`: since when */

/** @template {Waiting} Item */
export class Queue {
  /** @type {Item[]} */
  #first = [];
  /** @type {Item[]} */
  #rest = [];

  /** In ms of the time that `at` is in. */
  patience = 3000;

  get size() {
    return this.#first.length + this.#rest.length;
  }

  get items() {
    return [...this.#first, ...this.#rest];
  }

  /**
   * How long the oldest of those that do not go first has waited: 0 not at all, 1 to its end.
   * @param {number} now
   */
  pressure(now) {
    const [oldest] = this.#rest;
    return oldest ? Math.min(1, Math.max(0, now - oldest.at) / Math.max(1, this.patience)) : 0;
  }

  /**
   * One more. Gives how many were left out for it, 0 or 1.
   * @param {Item} item
   */
  add(item) {
    (item.first ? this.#first : this.#rest).push(item);
    if (this.size <= MOST) return 0;
    (this.#rest.length ? this.#rest : this.#first).shift();
    return 1;
  }

  /**
   * Have `place` find places for some. Gives how many were left out because they had waited too long.
   * @param {number} now
   * @param {(item: Item) => boolean} place whether it found one
   */
  serve(now, place) {
    let tries = TRIES;
    let late = 0;
    const stays = (/** @type {Item} */ item) => {
      if (now - item.at > (item.first ? Math.max(FIRST_MS, this.patience) : this.patience)) late += 1;
      else if (tries-- <= 0 || !place(item)) return true;
      return false;
    };
    this.#first = this.#first.filter(stays);
    this.#rest = this.#rest.filter(stays);
    return late;
  }

  /**
   * Let go of those that are meant.
   * @param {(item: Item) => boolean} meant
   */
  remove(meant) {
    this.#first = this.#first.filter((item) => !meant(item));
    this.#rest = this.#rest.filter((item) => !meant(item));
  }
}
