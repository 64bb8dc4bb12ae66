/* Messages typed but not yet known to be delivered, in the order they were typed.
 *
 * Rule: no socket, no timer; time comes in as `now` (ms), what to send goes out as a list.
 * An entry is waiting -> sent -> gone, and back to waiting when the link or the server's patience
 * fails. It keeps one `id` through all of that: the server delivers an id once per sender.
 * Danger: a guest who reconnects may be a new sender, for whom the server cannot know the id.
 * Seeing our own message come by (`echoed`) therefore counts as delivery, as an ack does.
 */

const CAPACITY = 20;
/* The server refills 10 commands a second; a few in flight never meets that limit. */
const WINDOW = 5;
/* The server remembers an id for 5 minutes: after that a repeat would be a second message. */
const LIFETIME_MS = 4 * 60_000;

export class Outbox {
  #entries = [];
  #heldUntil = 0;
  #acked = [];

  get size() {
    return this.#entries.length;
  }

  get entries() {
    return [...this.#entries];
  }

  /** False when full: the user hears about it instead of the queue growing. */
  add(entry, now) {
    if (this.#entries.length >= CAPACITY) return false;
    this.#entries.push(Object.assign(entry, { born: now, ref: null, attempts: 0 }));
    return true;
  }

  /** Entries to put on the wire now, each given a ref by `nextRef`. */
  due(now, nextRef) {
    if (now < this.#heldUntil) return [];
    const room = WINDOW - this.#entries.filter((entry) => entry.ref !== null).length;
    const ready = this.#entries.filter((entry) => entry.ref === null).slice(0, Math.max(0, room));
    for (const entry of ready) {
      entry.ref = nextRef();
      entry.attempts += 1;
    }
    return ready;
  }

  /** Milliseconds until `due` may answer again; 0 when nothing holds it. */
  heldMs(now) {
    return Math.max(0, this.#heldUntil - now);
  }

  acked(ref, seq) {
    this.#acked = [...this.#acked.slice(-CAPACITY), seq];
    return this.#take((entry) => entry.ref === ref);
  }

  /** Our own message came by. The oldest sent entry with that text was it, unless its ack came first. */
  echoed({ seq, text }) {
    if (this.#acked.includes(seq)) return undefined;
    return this.#take((entry) => entry.attempts > 0 && entry.text === text);
  }

  /** An error answered `ref`. With a retry time the entry waits, and everything behind it too. */
  refused(ref, retryAfterMs, now) {
    const entry = this.#entries.find((candidate) => candidate.ref === ref);
    if (!entry) return undefined;
    if (retryAfterMs === undefined) return this.#take((candidate) => candidate === entry);
    entry.ref = null;
    this.#heldUntil = Math.max(this.#heldUntil, now + retryAfterMs);
    return entry;
  }

  /** The link broke: whatever was in flight has to be said again. */
  unsend() {
    for (const entry of this.#entries) entry.ref = null;
  }

  /** Take out what has become too old to repeat safely. */
  expire(now) {
    const old = this.#entries.filter((entry) => now - entry.born > LIFETIME_MS);
    this.#entries = this.#entries.filter((entry) => !old.includes(entry));
    return old;
  }

  clear() {
    this.#entries = [];
    this.#acked = [];
  }

  #take(matches) {
    const index = this.#entries.findIndex(matches);
    return index < 0 ? undefined : this.#entries.splice(index, 1)[0];
  }
}
