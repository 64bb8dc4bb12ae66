/* What lasts between visits: the rooms visited, the last colour, how the stage should look.
 *
 * Rule: conveniences only. Where the browser keeps nothing (a private window), the page works without.
 */

const KEY = "danmaku";

export const store = open();

export function remember(change) {
  Object.assign(store, change);
  try {
    localStorage.setItem(KEY, JSON.stringify(store));
  } catch {
    // full or forbidden; nothing depends on it
  }
}

function open() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
