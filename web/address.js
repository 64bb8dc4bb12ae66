/* Where the page finds its server, and what the address bar says.
 *
 * Rule: pure functions of a `Location` and of what the server wrote into the page. Who made the link
 * chooses a room and a token, never a server: whatever the page shows is the server's that served it.
 */

const LOBBY = "lobby";
const UNSERVED = ":8000/ws"; // where the page's files are served without the API process

/** The WebSocket's address: this page's own host, at the port and path in `served`. */
export function serverUrl({ protocol, hostname }, served) {
  const scheme = protocol === "https:" ? "wss" : "ws";
  return `${scheme}://${hostname}${served.startsWith("{{") ? UNSERVED : served}`;
}

/** Who the viewer is, as whoever made the link says; null: a guest. */
export function tokenIn({ hash }) {
  return new URLSearchParams(hash.slice(1)).get("token");
}

/** What is asked for is tried, whatever it is: the server says no, and no other room is opened. */
export function roomIn({ search }) {
  return new URLSearchParams(search).get("room") || LOBBY;
}
