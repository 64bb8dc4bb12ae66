/* How long to stay away after a connection ends, and whether for good. Rule: pure; randomness is passed in.
 *
 * Full jitter (anywhere between nothing and the cap for this attempt) rather than "cap plus a bit":
 * when a node dies, everyone it served comes back at once, and only a flat spread is not a wave.
 */

const BASE_MS = 500;
const FACTOR = 2;
const CAP_MS = 20_000;
const KICKED = 4505;
/* What this client said was wrong, too big or not allowed, and would be again. */
const MENDED_FIRST = [1002, 1003, 1007, 1008, 1009];
const WITH_ANOTHER_TOKEN = [4500, 4501, 4502];

/**
 * Milliseconds before attempt number `attempt` (0 is the first retry).
 * @param {number} attempt
 * @param {() => number} random
 */
export function backoffMs(attempt, random) {
  return random() * Math.min(CAP_MS, BASE_MS * FACTOR ** attempt);
}

/**
 * 4500-4999 say "do not come back", but for KICKED, whose `bye` says when; everything else, known or
 * not, is worth another try, unless the client is to be mended first.
 * @param {number} code
 */
export function mayReturn(code) {
  if (MENDED_FIRST.includes(code)) return false;
  return !(code >= 4500 && code <= 4999) || code === KICKED;
}

/**
 * Whether who has another token by now may come back with that.
 * @param {number} code
 */
export function mayReturnWithToken(code) {
  return WITH_ANOTHER_TOKEN.includes(code);
}
