/* A room's messages as the wire has them, and whole.
 *
 * Rule: pure; no position, no clock, no DOM. The wire leaves out what is usual or follows from the
 * rest: name, colour, mode and size that nobody chose, the room, the id, and the seq of a message
 * that stands right after the one before it. Here, and nowhere else, all that is put back.
 * A `msgs` counts from the event's own seq; a history's first message always says its own. What has
 * no text was removed and keeps only its number.
 * Danger: 500 of them come in a second. Each becomes one new object, always of the same shape; what
 * was seen before becomes none.
 */

export const WHITE = 0xffffff;
const MODE = "scroll";
const SIZE = 25;
const GUEST = "guest:";

/** @import { Message, Place } from "./types.js" */

/**
 * The whole messages of a lean list, in order, without those up to `seen`. `epoch` and `seq` are
 * those of the event that brought it.
 * @param {Place[]} lean
 * @param {{room: string, epoch: string, seq: number}} event
 * @returns {Message[]}
 */
export function expand(lean, { room, epoch, seq }, seen = 0) {
  const messages = [];
  let at = seq;
  for (const message of lean) {
    at = message.seq ?? at;
    if (at > seen && message.text !== undefined) messages.push(whole(message, room, epoch, at));
    at += 1;
  }
  return messages;
}

/**
 * When what stands at `at` of a lean list was published; undefined where that is not in it. `seq` is
 * that of its first, where it does not say its own.
 * @param {Place[]} lean
 * @param {number} at
 * @param {number} [seq]
 */
export function timeAt(lean, at, seq) {
  let here = seq ?? NaN;
  for (const { seq: said, ts } of lean) {
    here = said ?? here;
    if (here === at) return ts;
    here += 1;
  }
  return undefined;
}

/**
 * @param {any} lean a message's place
 * @param {string} room
 * @param {string} epoch
 * @param {number} seq
 * @returns {Message}
 */
function whole(lean, room, epoch, seq) {
  const { uid, name, text, color = WHITE, mode = MODE, size = SIZE, ts, kind } = lean;
  const { avatar, level, badges, times, data } = lean;
  const id = `${epoch}-${seq}`;
  return {
    room, seq, id, uid, name: name ?? nameOf(uid), text, color, mode, size, ts, kind,
    avatar, level, badges, times, data,
  };
}

/** @param {string} uid */
function nameOf(uid) {
  return uid.startsWith(GUEST) ? `guest-${uid.slice(-4)}` : uid;
}
