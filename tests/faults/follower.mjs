// The JavaScript client in one room: prints what it hands on, one JSON object a line.
// Usage: node follower.mjs URL ROOM
import { createRequire } from "node:module";
import { connect } from "../../clients/js/src/index.js";

const WebSocket = createRequire(new URL("../e2e/package.json", import.meta.url))("ws");
const [url, room] = process.argv.slice(2);
const client = connect(url, { rooms: [room], WebSocket });

const say = (what) => console.log(JSON.stringify(what));
client.on("joined", ({ epoch, seq }) => say({ t: "joined", epoch, seq }));
client.on("message", ({ seq, text }) => say({ t: "msg", seq, text }));
for (const t of ["delete", "clear"]) client.on(t, ({ seq }) => say({ t: "delete", seq }));
client.on("shed", ({ seq, count }) => say({ t: "shed", seq, count }));
client.on("gap", ({ lost }) => say({ t: "gap", seq: 0, lost }));
