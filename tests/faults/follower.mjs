// The page's client in one room, without a page: prints what it hands on, one JSON object a line.
// Usage: node follower.mjs URL ROOM
import { createRequire } from "node:module";
import { Client } from "../../web/client.js";
import { BROWSER } from "../../web/link.js";

const WebSocket = createRequire(new URL("../e2e/package.json", import.meta.url))("ws");
const [url, room] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
let at = 0; // what a `shed` says beside its count, of which a page has no use

function connect(url) {
  const socket = new WebSocket(url, "danmaku.json");
  socket.on("message", (data) => {
    for (const event of JSON.parse(data)) {
      if (event.t === "joined") say({ t: "joined", epoch: event.epoch, seq: event.seq });
      if (event.t === "shed") at = event.seq;
    }
  });
  return socket;
}

const heard = {
  messages: (messages) => messages.forEach(({ seq, text }) => say({ t: "msg", seq, text })),
  joined: ({ messages }) => heard.messages(messages),
  removed: (places) => places.forEach(({ seq }) => say({ t: "delete", seq })),
  shed: ({ count }) => say({ t: "shed", seq: at, count }),
  gap: ({ lost }) => say({ t: "gap", seq: 0, lost }),
};
const on = new Proxy(heard, { get: (all, name) => all[name] ?? (() => {}) });
new Client({ url, room, on, env: { ...BROWSER, connect } }).start();
