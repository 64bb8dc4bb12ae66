/* What was said before what is shown: pages of a room's history, back to where there are no more.
 *
 * Rule: no DOM. `ask({before, limit})` is the client's `history` of a room. A page may be empty, as what
 * was taken back keeps its place; then the one before it is asked for, a few times over.
 */

export const BEGINNING = "beginning"; // of the room
export const OLDEST = "oldest"; // of what is kept

const PAGE = 100;
const MOST_PAGES = 20; // of one question

/** {messages, before, end}: the messages next before a seq, where to go on, and if that is an end. */
export async function pageBefore(ask, seq) {
  let before = seq;
  for (let turn = 0; turn < MOST_PAGES && before > 1; turn += 1) {
    const { messages, first, more } = await ask({ before, limit: PAGE });
    before = first ?? Math.max(1, before - PAGE);
    if (messages.length || !more) return { messages, before, end: endAt(before, more) };
  }
  return { messages: [], before, end: endAt(before, true) };
}

function endAt(before, more) {
  if (before <= 1) return BEGINNING;
  return more ? "" : OLDEST;
}
