/* Where a danmaku may fly so that none overlaps another. Rule: geometry and time passed in, no DOM.
 *
 * The stage is cut into thin rows; a text takes as many neighbouring rows as it is tall, so all
 * sizes pack together. A row remembers of its last flier how fast it is, when its tail has cleared the
 * entry edge and when it is gone at the far one. A newcomer fits when the tail has cleared, and when
 * its own head reaches the far edge no sooner than the last one has left: as both move at constant
 * speed, one that has not caught up there has not caught up anywhere.
 * Reverse fliers meet ordinary ones head-on, so a row serves one direction at a time; while any are
 * about, the lowest quarter of the rows is theirs, or a busy room would never let one in.
 * Who goes first and finds nothing claims the rows that are free soonest: nobody else is let in there,
 * or a tall line would wait for ever beside small ones that take each row as it comes free.
 * A stage that changes its size does not change what flies. Rows remember what flew there, also those
 * that are no part of it for a while.
 */

const ROW_PX = 4;
const GAP_PX = 24;
const CLAIM_MS = 4000;

/** @typedef {{width: number, height: number, duration: number, gap?: number, reverse?: boolean, first?: boolean}} Flier */

export class Lanes {
  #width = 0;
  #rows = 1;
  #clearAt = new Float64Array(0);
  #goneAt = new Float64Array(0);
  #speed = new Float64Array(0); // px a ms
  #reversed = new Uint8Array(0);
  #topUntil = new Float64Array(0);
  #bottomUntil = new Float64Array(0);
  #reverseUntil = -Infinity;
  #claim = { row: 0, end: 0, until: -Infinity };

  /**
   * @param {number} width px
   * @param {number} height px
   */
  resize(width, height) {
    this.#rows = Math.max(1, Math.floor(height / ROW_PX));
    this.#grow(this.#rows);
    if (width !== this.#width) this.#stretch(width);
    this.#width = width;
    this.#claim.until = -Infinity;
  }

  /** Nothing flies any more. */
  clear() {
    for (const times of [this.#clearAt, this.#goneAt, this.#topUntil, this.#bottomUntil]) times.fill(-Infinity);
    this.#reverseUntil = this.#claim.until = -Infinity;
  }

  /**
   * The y (px) where a flier may start now, or -1. It crosses the stage, and its own width, in
   * `duration` ms, with `gap` px behind it; `first`: it may claim rows.
   * @param {number} now
   * @param {Flier} flier
   */
  fly(now, { width, height, duration, gap = GAP_PX, reverse = false, first = false }) {
    const span = this.#span(height, this.#rows);
    const speed = (this.#width + width) / duration;
    if (reverse) this.#reverseUntil = Math.max(this.#reverseUntil, now + duration);
    const ahead = this.#width / speed;
    const [from, to] = this.#range(span, now, reverse);
    const row = this.#firstRow(span, from, to, now, ahead, reverse, first);
    if (row < 0) {
      if (first && this.#claim.until <= now) this.#claimSoonest(span, from, to, now, ahead, reverse);
      return -1;
    }
    const end = row + tall(height); // one taller than the stage is so when that grows, too
    this.#grow(end);
    for (let below = row + span; below < end; below += 1) {
      if (this.#freeAt(below, ahead, reverse) > now) return -1; // it flies where the stage was larger
    }
    if (first) this.#claim.until = -Infinity;
    this.#clearAt.fill(now + (width + Math.max(gap, GAP_PX)) / speed, row, end);
    this.#goneAt.fill(now + duration, row, end);
    this.#speed.fill(speed, row, end);
    this.#reversed.fill(reverse ? 1 : 0, row, end);
    return row * ROW_PX;
  }

  /**
   * Distance (px) from the top, or from the bottom edge, for a text that stands still; -1 if none.
   * @param {number} now
   * @param {{height: number, hold: number, bottom?: boolean}} text
   */
  stand(now, { height, hold, bottom = false }) {
    const until = bottom ? this.#bottomUntil : this.#topUntil;
    const rows = Math.max(1, this.#rows >> 1);
    const span = this.#span(height, rows);
    let run = 0;
    for (let row = 0; row < rows; row += 1) {
      run = until[row] <= now ? run + 1 : 0;
      if (run < span) continue;
      const start = row - span + 1;
      this.#grow(start + tall(height));
      (bottom ? this.#bottomUntil : this.#topUntil).fill(now + hold, start, start + tall(height));
      return start * ROW_PX;
    }
    return -1;
  }

  /**
   * @param {number} height
   * @param {number} rows
   */
  #span(height, rows) {
    return Math.min(rows, tall(height));
  }

  /**
   * The rows that one of a direction may have, first and end.
   * @param {number} span
   * @param {number} now
   * @param {boolean} reverse
   */
  #range(span, now, reverse) {
    const border = Math.floor(this.#rows * 0.75);
    if (reverse) return [Math.max(0, Math.min(border, this.#rows - span)), this.#rows];
    return [0, now < this.#reverseUntil && border >= span ? border : this.#rows];
  }

  /**
   * @param {number} span
   * @param {number} from
   * @param {number} to
   * @param {number} now
   * @param {number} ahead ms that its head takes to the far edge
   * @param {boolean} reverse
   * @param {boolean} first
   */
  #firstRow(span, from, to, now, ahead, reverse, first) {
    const { row: shut, end, until } = this.#claim;
    const open = first || until <= now;
    let run = 0;
    for (let row = from; row < to; row += 1) {
      const may = (open || row < shut || row >= end) && this.#freeAt(row, ahead, reverse) <= now;
      run = may ? run + 1 : 0;
      if (run === span) return row - span + 1;
    }
    return -1;
  }

  /**
   * From when on a row lets one in that needs `ahead` ms to cross.
   * @param {number} row
   * @param {number} ahead
   * @param {boolean} reverse
   */
  #freeAt(row, ahead, reverse) {
    if (this.#reversed[row] !== (reverse ? 1 : 0)) return this.#goneAt[row];
    return Math.min(this.#goneAt[row], Math.max(this.#clearAt[row], this.#goneAt[row] - ahead));
  }

  /**
   * @param {number} span
   * @param {number} from
   * @param {number} to
   * @param {number} now
   * @param {number} ahead
   * @param {boolean} reverse
   */
  #claimSoonest(span, from, to, now, ahead, reverse) {
    let soonest = Infinity;
    for (let row = from; row + span <= to; row += 1) {
      let at = -Infinity;
      for (let each = row; each < row + span; each += 1) at = Math.max(at, this.#freeAt(each, ahead, reverse));
      if (at >= soonest) continue;
      soonest = at;
      this.#claim = { row, end: row + span, until: now + CLAIM_MS };
    }
  }

  /** Remember at least so many rows. @param {number} rows */
  #grow(rows) {
    if (rows <= this.#goneAt.length) return;
    const grown = (/** @type {Float64Array<ArrayBuffer>} */ old) => {
      const times = new Float64Array(rows).fill(-Infinity);
      times.set(old);
      return times;
    };
    [this.#clearAt, this.#goneAt, this.#speed] = [this.#clearAt, this.#goneAt, this.#speed].map(grown);
    [this.#topUntil, this.#bottomUntil] = [this.#topUntil, this.#bottomUntil].map(grown);
    const reversed = new Uint8Array(rows);
    reversed.set(this.#reversed);
    this.#reversed = reversed;
  }

  /**
   * What flies goes on as it did. Where the entry edge comes nearer, its tail clears it later; where
   * the far edge of those in reverse goes away, they would reach it later.
   * @param {number} width
   */
  #stretch(width) {
    for (let row = 0; row < this.#goneAt.length; row += 1) {
      if (this.#reversed[row]) {
        if (width > this.#width) this.#goneAt[row] += (width - this.#width) / this.#speed[row];
      } else if (width < this.#width) {
        const clearAt = this.#goneAt[row] - (width - GAP_PX) / this.#speed[row];
        this.#clearAt[row] = Math.max(this.#clearAt[row], clearAt);
      }
    }
  }
}

/** In rows. @param {number} height px */
function tall(height) {
  return Math.max(1, Math.ceil(height / ROW_PX));
}
