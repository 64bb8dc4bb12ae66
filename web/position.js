/* Where we are in a room: (epoch, seq), and what a join's answer means for it.
 *
 * Rule: arithmetic only; no socket, no clock, no DOM. An epoch names one numbering of a room's
 * messages: within it seq goes up by one per message, and across two epochs seqs do not compare.
 * Danger: a `msg` carries no epoch. It belongs to the one the last `joined` or `gap` named.
 */

export const NEW = "new";
export const DUPLICATE = "duplicate";
export const JUMP = "jump";

export class Position {
  #epoch = null;
  #seq = 0;

  get known() {
    return this.#epoch !== null;
  }

  /** What to put in a join's `since`; undefined (so absent from the JSON) for a first visit. */
  get since() {
    return this.known ? { epoch: this.#epoch, seq: this.#seq } : undefined;
  }

  /** Classify a live message. Only NEW moves the position: a JUMP is answered by a re-join, and its
   *  history then brings this message again together with the ones before it. */
  see(seq) {
    if (seq <= this.#seq) return DUPLICATE;
    if (seq > this.#seq + 1) return JUMP;
    this.#seq = seq;
    return NEW;
  }

  /** Take a `joined`. Returns the messages not seen before and how many can no longer be had
   *  (Infinity: the numbering began anew, so nobody knows). */
  join({ epoch, seq, recovered, history }) {
    const same = epoch === this.#epoch;
    const messages = same ? history.filter((message) => message.seq > this.#seq) : history;
    let missed = 0;
    if (this.known && !recovered) {
      const first = messages.length ? messages[0].seq : seq + 1;
      missed = same ? Math.max(0, first - this.#seq - 1) : Infinity;
    }
    this.#epoch = epoch;
    this.#seq = seq;
    return { messages, missed };
  }

  /** The server could not recover a stretch: go on from where it says. True if numbering began anew. */
  skip({ epoch, seq }) {
    const anew = epoch !== this.#epoch;
    this.#epoch = epoch;
    this.#seq = seq;
    return anew;
  }
}
