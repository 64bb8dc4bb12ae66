/* What lasts between visits: the rooms visited, the last colour, how the page should look. What lasts
 * as long as the browser's tab: the rooms that are open in it.
 *
 * Rule: conveniences only. Where the browser keeps nothing (a private window), the page works without.
 */

const KEY = "danmaku";
const OPEN = "danmaku:open";

export const store = open();

/** The rooms that were open when the page was left. */
export function openRooms() {
  try {
    const rooms = JSON.parse(sessionStorage.getItem(OPEN)) ?? [];
    return rooms.filter((room) => typeof room === "string");
  } catch {
    return [];
  }
}

export function rememberOpen(rooms) {
  try {
    sessionStorage.setItem(OPEN, JSON.stringify(rooms));
  } catch {
    // as below
  }
}

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
