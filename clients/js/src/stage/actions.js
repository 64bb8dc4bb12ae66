/* What may be done about a line of the stage: labels, what is asked, and what is said when it is done.
 *
 * Rule: pure. Who may is shown by rank only; the server has the last word.
 */

import { rank } from "../index.js";

/** @import { Command, Message } from "../types.js" */
/** @import { Words } from "./words.js" */

const HOUSE = "system"; // no user
const MUTE_S = 600;

/** @typedef {{label: string, told: string, command?: Omit<Command, "room">, local?: "copy" | "hide"}} Action */

/**
 * @param {Message} message
 * @param {{own: boolean, role: string, words: Words}} viewer
 * @returns {Action[]}
 */
export function actionsFor({ id, seq, uid, name }, { own, role, words }) {
  /** @type {Action[]} */
  const actions = [{ label: words.copy, told: words.copied, local: "copy" }];
  const theirs = uid && uid !== HOUSE && !own;
  if (theirs) actions.push({ label: words.hide(name), told: words.hidden(name), local: "hide" });
  if (seq && !own) {
    const epoch = id.slice(0, id.lastIndexOf("-"));
    actions.push({ label: words.report, told: words.reported, command: { t: "report", seq, epoch } });
  }
  if (rank(role) < rank("moderator")) return actions;
  const order = (/** @type {string} */ action, /** @type {object} */ fields) => ({ t: "moderate", action, ...fields });
  if (seq) actions.push({ label: words.remove, told: words.removed, command: order("delete", { seq }) });
  if (theirs) {
    actions.push(
      { label: words.mute(name), told: words.muted(name), command: order("mute", { uid, seconds: MUTE_S }) },
      { label: words.ban(name), told: words.banned(name), command: order("ban", { uid }) },
    );
  }
  return actions;
}
