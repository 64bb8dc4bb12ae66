/* Where a danmaku may fly so that none overlaps another. Rule: geometry and time passed in, no DOM.
 *
 * The stage is cut into thin rows; a text takes as many neighbouring rows as it is tall, so all
 * sizes pack together. A row remembers of its last flier only when its tail has cleared the entry
 * edge and when it is gone at the far one. A newcomer fits when the tail has cleared, and when its
 * own head reaches the far edge no sooner than the last one has left: as both move at constant
 * speed, one that has not caught up there has not caught up anywhere.
 * Reverse fliers meet ordinary ones head-on, so a row serves one direction at a time; while any are
 * about, the lowest quarter of the rows is theirs, or a busy room would never let one in.
 */

const ROW_PX = 8;
const GAP_PX = 28;

export class Lanes {
  #width = 0;
  #rows = 0;
  #clearAt = new Float64Array(0);
  #goneAt = new Float64Array(0);
  #reversed = new Uint8Array(0);
  #topUntil = new Float64Array(0);
  #bottomUntil = new Float64Array(0);
  #reverseUntil = 0;

  resize(width, height) {
    this.#width = width;
    this.#rows = Math.max(1, Math.floor(height / ROW_PX));
    const half = Math.ceil(this.#rows / 2);
    this.#clearAt = new Float64Array(this.#rows);
    this.#goneAt = new Float64Array(this.#rows);
    this.#reversed = new Uint8Array(this.#rows);
    this.#topUntil = new Float64Array(half);
    this.#bottomUntil = new Float64Array(half);
  }

  /** The y (px) where a flier may start now, or -1. `force` always finds one, overlapping if it must. */
  fly(now, { width, height, duration, reverse = false, force = false }) {
    const span = this.#span(height, this.#rows);
    const speed = (this.#width + width) / duration;
    if (reverse) this.#reverseUntil = now + duration;
    const reach = now + this.#width / speed;
    const row = this.#firstRow(span, now, reach, reverse, force);
    if (row < 0) return -1;
    this.#clearAt.fill(now + (width + GAP_PX) / speed, row, row + span);
    this.#goneAt.fill(now + duration, row, row + span);
    this.#reversed.fill(reverse ? 1 : 0, row, row + span);
    return row * ROW_PX;
  }

  /** Distance (px) from the top, or from the bottom edge, for a text that stands still; -1 if none. */
  stand(now, { height, hold, bottom = false, force = false }) {
    const until = bottom ? this.#bottomUntil : this.#topUntil;
    const span = this.#span(height, until.length);
    let row = 0;
    for (let run = 0; run < until.length; run += 1) {
      if (until[run] > now) row = run + 1;
      else if (run - row + 1 >= span) break;
    }
    if (row + span > until.length) {
      if (!force) return -1;
      row = 0;
    }
    until.fill(now + hold, row, row + span);
    return row * ROW_PX;
  }

  #span(height, rows) {
    return Math.min(rows, Math.max(1, Math.ceil(height / ROW_PX)));
  }

  #firstRow(span, now, reach, reverse, force) {
    const border = Math.floor(this.#rows * 0.75);
    const from = reverse ? Math.max(0, Math.min(border, this.#rows - span)) : 0;
    const to = reverse || now >= this.#reverseUntil ? this.#rows : border;
    let run = 0;
    for (let row = from; row < to; row += 1) {
      run = this.#fits(row, now, reach, reverse) ? run + 1 : 0;
      if (run === span) return row - span + 1;
    }
    return force ? this.#soonest(span, reach - now) : -1;
  }

  #fits(row, now, reach, reverse) {
    if (this.#goneAt[row] <= now) return true;
    if (this.#reversed[row] !== (reverse ? 1 : 0)) return false;
    return this.#clearAt[row] <= now && this.#goneAt[row] <= reach;
  }

  /** The first of `span` rows that would be free soonest, for one that needs `ahead` ms to cross. */
  #soonest(span, ahead) {
    const freeAt = this.#clearAt.map((clear, row) => Math.max(clear, this.#goneAt[row] - ahead));
    let best = 0;
    let bestAt = Infinity;
    for (let row = 0; row + span <= this.#rows; row += 1) {
      const at = Math.max(...freeAt.subarray(row, row + span));
      if (at < bestAt) [best, bestAt] = [row, at];
    }
    return best;
  }
}
