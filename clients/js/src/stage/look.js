/* How the lines look, as a viewer sets it.
 *
 * Rule: pure. Numbers beyond their bounds are brought within, as a slider does; what is no number, and
 * a name nobody knows, is a mistake and thrown back.
 */

import { bad } from "./filters.js";

/** @import { Look } from "./types.js" */

/** @type {Look} */
export const USUAL = {
  on: true, speed: 1, area: 1, opacity: 1, size: 1, density: 1, patience: 3000, still: "fixed",
};

/** @type {Record<string, [number, number]>} */
const BOUNDS = {
  speed: [0.25, 4], area: [0.1, 1], opacity: [0, 1], size: [0.5, 2], density: [0.1, 1],
  patience: [0, 10_000],
};
const STILLS = ["fixed", "off"];

/** Whether it is a name of one of these. @param {string} name */
export const isLook = (name) => Object.hasOwn(USUAL, name);

/**
 * A look with some of it changed; undefined leaves it as it is.
 * @param {Partial<Look>} change
 * @param {Look} [before]
 * @returns {Look}
 */
export function looked(change, before = USUAL) {
  const look = /** @type {any} */ ({ ...before });
  for (const [name, value] of Object.entries(change)) {
    if (value !== undefined) look[name] = checked(name, value);
  }
  return look;
}

/**
 * @param {string} name
 * @param {any} value
 */
function checked(name, value) {
  if (name === "on") return Boolean(value);
  if (name === "still") {
    if (!STILLS.includes(value)) throw bad(`still is one of ${STILLS.join(", ")}`);
    return value;
  }
  if (!Object.hasOwn(BOUNDS, name)) throw bad(`there is no option ${name}`);
  if (!Number.isFinite(value)) throw bad(`${name} is a number`);
  const [least, most] = BOUNDS[name];
  return Math.min(most, Math.max(least, value));
}
