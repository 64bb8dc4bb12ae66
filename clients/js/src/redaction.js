/* What was taken back: of the places of a room, those that say so, and which messages they mean.
 *
 * Rule: pure; no position, no clock, no DOM. A `delete` means one message, a `clear` all before it or
 * those of one user. Whoever shows messages asks `means` of each.
 */

/** @import { Place } from "./types.js" */

/**
 * Of places as the wire has them, those after `seen` that take something back. `seq` is the first
 * one's, unless it says its own.
 * @param {Place[]} lean
 * @param {number} seq
 * @returns {any[]}
 */
export function removals(lean, seq, seen = 0) {
  const found = [];
  let at = seq;
  for (const place of lean) {
    at = place.seq ?? at;
    if (at > seen && (place.t === "delete" || place.t === "clear")) found.push({ ...place, seq: at });
    at += 1;
  }
  return found;
}

/**
 * Whether a `delete` or a `clear` means a message, of the same room.
 * @param {{t: string, seq: number, target?: number, uid?: string}} event
 * @param {{seq: number, uid?: string}} message
 */
export function means({ t, seq, target, uid }, message) {
  if (t === "delete") return message.seq === target;
  return message.seq < seq && (uid === undefined || message.uid === uid);
}
