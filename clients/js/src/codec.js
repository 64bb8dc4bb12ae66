/* JSON, which the server speaks with who asks for nothing else. Rule: pure. */

/** @type {import("./types.js").Codec} */
export const JSON_CODEC = {
  protocol: "danmaku.json",
  encode: (command) => JSON.stringify(command),
  decode: (payload) => JSON.parse(/** @type {string} */ (payload)),
};
