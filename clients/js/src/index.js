/* What the package offers. Rule: names only. */

export { Client } from "./client.js";
export { Likes } from "./likes.js";
export { WHITE } from "./messages.js";
export { means } from "./redaction.js";
export { rank } from "./roles.js";
