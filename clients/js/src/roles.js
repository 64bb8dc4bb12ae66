/* The ranks of roles.
 *
 * Rule: pure, and for showing only: the server decides, and says no where this is wrong. It says who
 * one is everywhere in a `welcome`, and in a `joined` who one is in that room, if that is another.
 */

const RANKS = ["guest", "user", "vip", "moderator", "owner", "admin"];

/**
 * How high a role stands; one that is not known here is a user's.
 * @param {string} role
 */
export function rank(role) {
  const found = RANKS.indexOf(role);
  return found < 0 ? RANKS.indexOf("user") : found;
}
