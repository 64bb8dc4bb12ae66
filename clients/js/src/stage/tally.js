/* What flew and what was left out, since the start and lately.
 *
 * Rule: pure; time passed in, in ms. "Lately" is the last SECONDS of them.
 */

const SECONDS = 10;

export class Tally {
  flown = 0;
  left_out = 0;
  #at = 0; // the newest second
  #flown = new Array(SECONDS).fill(0);
  #left = new Array(SECONDS).fill(0);

  /** @param {number} now */
  flew(now) {
    this.flown += 1;
    this.#flown[this.#turn(now)] += 1;
  }

  /**
   * @param {number} now
   * @param {number} count
   */
  leave(now, count) {
    this.left_out += count;
    this.#left[this.#turn(now)] += count;
  }

  /**
   * Of what was to fly lately, the share that was left out: 0 to 1.
   * @param {number} now
   */
  share(now) {
    this.#turn(now);
    const left = sum(this.#left);
    return left && left / (left + sum(this.#flown));
  }

  /**
   * The place of the second it is now; those that have passed are empty again.
   * @param {number} now
   */
  #turn(now) {
    const second = Math.floor(now / 1000);
    for (let passed = Math.max(this.#at + 1, second - SECONDS + 1); passed <= second; passed += 1) {
      this.#flown[passed % SECONDS] = 0;
      this.#left[passed % SECONDS] = 0;
    }
    this.#at = Math.max(this.#at, second);
    return this.#at % SECONDS;
  }
}

/** @param {number[]} counts */
function sum(counts) {
  return counts.reduce((all, count) => all + count, 0);
}
