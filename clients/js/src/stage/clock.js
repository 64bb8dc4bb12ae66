/* A stage's time, in ms: it stands still with the video, and goes at its rate.
 *
 * Rule: pure; what time it is in the world is passed in. Lanes, waits and flights are in stage time,
 * so whatever the video does, who would not have met does not meet.
 */

export class Clock {
  #base = 0;
  #since = 0;
  #rate = 1;

  /** How fast it goes: 0 is not at all. */
  get rate() {
    return this.#rate;
  }

  /** @param {number} now */
  at(now) {
    return this.#base + (now - this.#since) * this.#rate;
  }

  /**
   * From now on it goes at this rate.
   * @param {number} now
   * @param {number} rate
   */
  turn(now, rate) {
    this.#base = this.at(now);
    this.#since = now;
    this.#rate = rate;
  }
}
