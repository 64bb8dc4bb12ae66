/* How long to stay away after a connection ends. Rule: pure; randomness is passed in.
 *
 * Full jitter (anywhere between nothing and the cap for this attempt) rather than "cap plus a bit":
 * when a node dies, everyone it served comes back at once, and only a flat spread is not a wave.
 */

const BASE_MS = 500;
const FACTOR = 2;
const CAP_MS = 20_000;
const KICKED = 4505;

/** Milliseconds before attempt number `attempt` (0 is the first retry). */
export function backoffMs(attempt, random) {
  return random() * Math.min(CAP_MS, BASE_MS * FACTOR ** attempt);
}

/** 4500-4999 say "do not come back", but for KICKED, whose `bye` says when; everything else, known or
 * not, is worth another try. */
export function mayReturn(code) {
  return !(code >= 4500 && code <= 4999) || code === KICKED;
}
