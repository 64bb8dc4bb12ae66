/* How fast lines cross the stage.
 *
 * Rule: pure. All that start at one time are as fast, whatever their length: where longer texts fly faster
 * they find no lane behind short ones, and are left out while there is room. While lines wait, new ones
 * are faster, up to HASTE times: that makes room before any is left out. It changes little by little,
 * because who is faster than the one before has to let it get away first.
 */

const HASTE = 1.8;
const PRESSED = 0.3; // of its patience, what the oldest has waited when new ones are to be fastest
const EASE_MS = 4000;
const USUAL = 1.25; // stages a line travels in the time below: one, and its own length

export class Pace {
  speed = 1;
  #haste = 0; // 0 to 1
  #at = 0;

  /**
   * @param {number} now
   * @param {number} pressure 0 to 1: of its patience, what the oldest has waited
   */
  hurry(now, pressure) {
    const passed = Math.min(1, Math.max(0, now - this.#at) / EASE_MS);
    this.#at = now;
    this.#haste += (Math.min(1, pressure / PRESSED) - this.#haste) * passed;
  }

  /**
   * In ms, for a text that is `width` px wide over a stage of `across`.
   * @param {number} width
   * @param {number} across
   */
  duration(width, across) {
    const usual = Math.min(9500, 3500 + across * 4.5);
    const speed = ((USUAL * across) / usual) * this.speed * (1 + (HASTE - 1) * this.#haste);
    return (across + width) / speed;
  }
}
