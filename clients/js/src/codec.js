/* JSON, which the server speaks with who asks for nothing else. Rule: pure. */

/** @type {import("./types.js").Codec} */
export const JSON_CODEC = {
  protocol: "danmaku.json",
  encode: (command) => JSON.stringify(command),
  decode(payload) {
    const events = JSON.parse(/** @type {string} */ (payload));
    if (!Array.isArray(events)) throw new TypeError("not an array of events");
    return events;
  },
};
