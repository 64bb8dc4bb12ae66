/* Where the page finds its server, and what the address bar says.
 *
 * Rule: pure functions of a `Location` and of what the server wrote into the page. Who made the link
 * chooses a room and a token, never a server: whatever the page shows is the server's that served it.
 */

const LOBBY = "lobby";
const UNSERVED = ":8000/ws"; // where the page's files are served without the API process

/** The WebSocket's address. `served` is a URL; or ":port/path" at the page's own host; or a path beside
 * the page's own, wherever that is by now: behind TLS, at another port, under another path. */
export function serverUrl({ protocol, hostname, host, pathname }, served) {
  if (/^wss?:/.test(served)) return served;
  const scheme = protocol === "https:" ? "wss" : "ws";
  const beside = served.startsWith("{{") ? UNSERVED : served;
  if (beside.startsWith(":")) return `${scheme}://${hostname}${beside}`;
  return `${scheme}://${host}${pathname.replace(/[^/]*$/, "")}${beside}`;
}

/** Who the viewer is, as whoever made the link says; null: a guest. */
export function tokenIn({ hash }) {
  return new URLSearchParams(hash.slice(1)).get("token");
}

/** The rooms to be in, the first of them to be seen. What is asked for is tried, whatever it is: the
 *  server says no, and no other room is opened. */
export function roomsIn({ search }) {
  const rooms = new URLSearchParams(search).getAll("room").filter(Boolean);
  return rooms.length ? [...new Set(rooms)] : [LOBBY];
}
