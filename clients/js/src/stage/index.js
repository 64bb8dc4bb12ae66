/* What the stage offers. Rule: names. */

export { mount } from "./mount.js";

/** @typedef {import("./types.js").Filters} Filters */
/** @typedef {import("./types.js").Look} Look */
/** @typedef {import("./types.js").MenuItem} MenuItem */
/** @typedef {import("./types.js").Mounted} Mounted */
/** @typedef {import("./types.js").MountOptions} MountOptions */
/** @typedef {import("./types.js").Stats} Stats */
