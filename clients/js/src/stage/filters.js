/* What a viewer does not want to see: words, modes, users.
 *
 * Rule: pure. Words are compared without case and width; a RegExp sees the text as it is.
 */

import { DanmakuError } from "../index.js";

/** @import { Mode } from "../types.js" */
/** @import { Filters } from "./types.js" */

const KNOWN = ["words", "modes", "users"];

/**
 * A test of what is to be left away.
 * @param {Filters} [filters]
 * @returns {(message: {text: string, mode: Mode, uid: string}) => boolean}
 */
export function blocks(filters = {}) {
  for (const [name, list] of Object.entries(filters)) {
    if (KNOWN.includes(name) && Array.isArray(list)) continue;
    throw bad(`filters.${name} is none of ${KNOWN.join(", ")}, or no array`);
  }
  const { words = [], modes = [], users = [] } = filters;
  const patterns = words.filter((word) => word instanceof RegExp);
  const plain = words.filter((word) => typeof word === "string").map(fold).filter(Boolean);
  if (patterns.length + words.filter((word) => typeof word === "string").length < words.length) {
    throw bad("filters.words are strings or RegExps");
  }
  const [away, gone] = [new Set(modes), new Set(users)];
  return ({ text, mode, uid }) => {
    if (away.has(mode) || gone.has(uid)) return true;
    const folded = plain.length ? fold(text) : "";
    return plain.some((word) => folded.includes(word)) || patterns.some((word) => text.search(word) >= 0);
  };
}

/** @param {string} text */
function fold(text) {
  return text.normalize("NFKC").toLowerCase();
}

/** @param {string} message */
export function bad(message) {
  return new DanmakuError({ code: "bad_option", message });
}
