/* Who somebody is in a room: the ranks of roles, and what a token says of its owner's.
 *
 * Rule: pure, and for showing only: the server decides, and says no where this is wrong. A `welcome`
 * says the role somebody has everywhere; those in rooms stand in the token, which is the viewer's own.
 */

const RANKS = ["guest", "user", "vip", "moderator", "owner", "admin"];

/** How high a role stands; one that is not known here is a user's. */
export function rank(role) {
  const found = RANKS.indexOf(role);
  return found < 0 ? RANKS.indexOf("user") : found;
}

/** The highest of a role everywhere and those of `rooms` ({room or prefix ending in *: role}). */
export function roleIn(role, rooms, room) {
  let highest = role;
  for (const [pattern, there] of Object.entries(rooms)) {
    const covers = pattern.endsWith("*") ? room.startsWith(pattern.slice(0, -1)) : room === pattern;
    if (covers && rank(there) > rank(highest)) highest = there;
  }
  return highest;
}

/** The roles in rooms that a token claims; none where it cannot be read. */
export function roomsOf(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    const { rooms } = JSON.parse(new TextDecoder().decode(bytes));
    return rooms !== null && typeof rooms === "object" ? rooms : {};
  } catch {
    return {};
  }
}
