/* How the connection is doing, in words, with the time until the next try.
 *
 * Rule: it is told, it asks nothing. The client's reasons are in English; here they are said by their
 * close code, and only a moderator's own words are shown as they are.
 */

import { knows, say, unsay, words } from "./i18n.js";

const WORDED = new Set([4504, 4505]); // a moderator may have given a reason
const TRYING = { again: "connection.again", first: "connection.connecting" };

export class Status {
  #box;
  #text;
  #when;
  #retry;
  #returnAt = 0;

  constructor({ box, text, when, retry }) {
    this.#box = box;
    this.#text = text;
    this.#when = when;
    this.#retry = retry;
  }

  /** A `connection` event. */
  show({ state, reason = "", code = 0, returnAt = 0 }) {
    const why = because(code, reason);
    if (state === "open") this.#set(state, ["connection.open"]);
    else if (state === "closed") this.#set(state, why);
    else this.#set(state, [returnAt ? TRYING.again : TRYING.first], reason ? why : undefined);
    this.#returnAt = returnAt;
    this.tick();
  }

  /** One is not in the room: `banned` or `kicked`, maybe with a moderator's words behind `: `. */
  showOut(reason) {
    const [, how, said] = /^(banned|kicked)(?:: (.*))?$/su.exec(reason) ?? [null, "banned", ""];
    this.#set("closed", worded(`left.${how}`, said));
    this.#returnAt = 0;
    this.tick();
  }

  /** To be called a few times a second. */
  tick() {
    const seconds = Math.ceil((this.#returnAt - performance.now()) / 1000);
    if (seconds > 0) say(this.#when, "connection.in", { time: { seconds } });
    else unsay(this.#when);
  }

  #set(state, what, why) {
    this.#box.dataset.state = state;
    this.#retry.hidden = state !== "closed";
    if (typeof what === "string") unsay(this.#text, what);
    else say(this.#text, ...what);
    this.#box.title = Array.isArray(why) ? words(...why) : (why ?? this.#text.textContent);
  }
}

/** Why it ended: a key with values, or the words there are. */
function because(code, reason) {
  const said = WORDED.has(code) && reason.includes(": ") ? reason.slice(reason.indexOf(": ") + 2) : "";
  if (knows(`closed.${code}`)) return worded(`closed.${code}`, said);
  if (reason === "There is no network") return ["connection.network"];
  return !reason || reason === "The connection was lost" ? ["connection.lost"] : reason;
}

function worded(key, said) {
  return said ? ["because", { what: { key }, reason: said }] : [key];
}
