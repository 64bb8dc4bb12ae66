/* What the package offers. Rule: names, and the one function to begin with. */

import { Client } from "./client.js";

export { Client };
export { DanmakuError } from "./errors.js";
export { Likes } from "./likes.js";
export { WHITE } from "./messages.js";
export { means } from "./redaction.js";
export { rank } from "./roles.js";

/** @typedef {import("./types.js").Ack} Ack */
/** @typedef {import("./types.js").Authed} Authed */
/** @typedef {import("./types.js").Codec} Codec */
/** @typedef {import("./types.js").ConnectionChange} ConnectionChange */
/** @typedef {import("./types.js").Events} Events */
/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Options} Options */
/** @typedef {import("./types.js").SendOptions} SendOptions */
/** @typedef {import("./types.js").Welcome} Welcome */

/**
 * Connect to a node, and stay connected until `close()`.
 * @param {string} url of the WebSocket, `wss://host/ws`
 * @param {import("./types.js").Options} [options]
 */
export function connect(url, options) {
  return new Client(url, options);
}
