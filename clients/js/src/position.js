/* Where we are in a room: (epoch, seq, ts), and what a span or a join's answer means for it.
 *
 * Rule: arithmetic only; no socket, no clock, no DOM. An epoch names one numbering of a room's
 * messages and of what is done to them: within it seq goes up by one for each, and across two epochs
 * seqs do not compare. A span is the numbers one event covers, `seq` to `to`, shown or not.
 * `ts` is when what stands there was published, undefined where nobody said: by it a number that was
 * given out twice is seen.
 * A room nobody has spoken in is at seq 0 of the epoch "": the first real one goes on from there.
 * Danger: after a loss of the room's state its numbers are small again. A span of an epoch we were
 * not told of (by `joined` or `gap`) is a jump, however small its numbers, never a repetition.
 */

import { timeAt } from "./messages.js";

/** @import { Place } from "./types.js" */

export const NEW = "new";
export const DUPLICATE = "duplicate";
export const JUMP = "jump";

const UNSPOKEN = "";

export class Position {
  /** @type {string | null} */
  #epoch = null;
  #seq = 0;
  /** @type {number | undefined} */
  #ts = undefined;

  get known() {
    return this.#epoch !== null;
  }

  get seq() {
    return this.#seq;
  }

  /** What to put in a join's `since`; undefined (so absent from the JSON) for a first visit. */
  get since() {
    if (this.#epoch === null) return undefined;
    const place = { epoch: this.#epoch, seq: this.#seq };
    return this.#ts === undefined ? place : { ...place, ts: this.#ts };
  }

  /**
   * Classify a live span; without `to` it is one number, without `epoch` of ours; `ts` is that of
   * its end. Only NEW moves the position, and what of the span was not after it is still a
   * repetition. A JUMP is answered by a re-join, whose history brings the span again together with
   * what came before it, and tells of which epoch the first place of a room is that said none.
   * @param {{epoch?: string | null, seq: number, to?: number, ts?: number}} span
   */
  take({ epoch = this.#epoch, seq, to = seq, ts }) {
    if (!this.#continues(epoch)) return JUMP;
    if (to <= this.#seq) return DUPLICATE;
    if (seq > this.#seq + 1 || epoch === UNSPOKEN) return JUMP;
    this.#move(epoch, to, ts);
    return NEW;
  }

  /**
   * The server left out, on purpose, what there was up to `seq`: nothing of it is to be asked for.
   * @param {number} seq
   */
  shed(seq) {
    if (seq > this.#seq) this.#move(this.#epoch, seq);
  }

  /**
   * Take a `joined`. Returns up to which seq its history was seen before, and how many messages can
   * no longer be had (Infinity: the numbering began anew, so nobody knows). Numbers that the history
   * passes over are nobody's loss: only what lies before its first one is.
   * @param {{epoch: string, seq: number, ts?: number, recovered: boolean, history: Place[]}} event
   */
  join({ epoch, seq, ts, recovered, history }) {
    const vouched = recovered || this.#isVouchedFor(seq, ts, history);
    const same = this.#continues(epoch) && vouched !== false;
    const seen = same ? this.#seq : 0;
    let missed = 0;
    if (this.known && !recovered) {
      const first = history[0]?.seq ?? seq + 1;
      missed = same ? Math.max(0, first - seen - 1) : Infinity;
      if (!missed && vouched === undefined && this.#ts !== undefined) missed = Infinity;
    }
    this.#move(epoch, seq, ts);
    return { seen, missed };
  }

  /**
   * Whether more is missing before a `gap` than what that says is lost: it follows a jump.
   * @param {{epoch: string, seq: number, lost?: number}} event
   */
  jumpsTo({ epoch, seq, lost = 0 }) {
    return epoch === this.#epoch && seq - lost > this.#seq;
  }

  /**
   * The server could not recover a stretch: go on from where it says. True if numbering began anew.
   * @param {{epoch: string, seq: number}} event
   */
  skip({ epoch, seq }) {
    const anew = !this.#continues(epoch);
    this.#move(epoch, seq);
    return anew;
  }

  /**
   * @param {string | null} epoch
   * @param {number} seq
   * @param {number} [ts]
   */
  #move(epoch, seq, ts) {
    this.#epoch = epoch;
    this.#seq = seq;
    this.#ts = ts;
  }

  /**
   * Whether what stands where we are is what stood there when we saw it. It is not when the server
   * was set back: the number was given out again, or is about to be. Undefined: we are not told.
   * @param {number} seq
   * @param {number | undefined} ts
   * @param {Place[]} history
   */
  #isVouchedFor(seq, ts, history) {
    if (seq < this.#seq) return false;
    const there = (seq === this.#seq ? ts : undefined) ?? timeAt(history, this.#seq);
    return this.#ts === undefined || there === undefined ? undefined : there === this.#ts;
  }

  /** @param {string | null} epoch */
  #continues(epoch) {
    return epoch === this.#epoch || this.#epoch === UNSPOKEN;
  }
}
