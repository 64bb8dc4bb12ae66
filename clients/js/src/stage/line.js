/* What a message is as a line of the stage.
 *
 * Rule: pure; no element, no size of anything. A mode or a kind that is not known here is passed over:
 * the line is what it would be without.
 */

/** @import { Message } from "../types.js" */
/** @import { Line } from "./types.js" */

const LONGEST = 100; // characters; a chat has the rest
const LONGEST_NAME = 16;
const MODES = ["scroll", "top", "bottom", "reverse"];
const KINDS = ["system", "gift", "superchat", "notice"];
const NAMED = ["gift", "superchat"]; // who gave it is half of what they say

/**
 * @param {Message} message
 * @param {boolean} own
 * @returns {Line}
 */
export function lineOf(message, own) {
  const { text, times = 1, color, size } = message;
  const mode = MODES.includes(message.mode) ? message.mode : "scroll";
  const kind = KINDS.find((known) => known === message.kind) ?? "chat";
  const house = kind !== "chat";
  const fixed = mode === "top" || mode === "bottom";
  return {
    message, mode, kind, color, size,
    text: times > 1 ? `${brief(text, LONGEST)} × ${times}` : brief(text, LONGEST),
    who: NAMED.includes(kind) ? `${brief(message.name, LONGEST_NAME)} ` : "",
    look: house ? "house" : own ? "own" : fixed ? "fixed" : "plain",
    first: own || house,
  };
}

/**
 * @param {string} text
 * @param {number} longest in characters
 */
function brief(text, longest) {
  const characters = [...text.replace(/\s+/gu, " ")];
  return characters.length > longest ? `${characters.slice(0, longest).join("")}…` : characters.join("");
}
