// A viewer written with Node's `ws`: joins, types one line, prints what it saw, leaves.
// Usage: node node_client.mjs URL ROOM TEXT
import WebSocket from "ws";

const [url, room, text] = process.argv.slice(2);
const socket = new WebSocket(url, "danmaku.json");
const seen = {};

socket.on("open", () => socket.send(JSON.stringify({ t: "join", room, ref: 1 })));
socket.on("message", (data, isBinary) => {
  if (isBinary) throw new Error("danmaku.json is text");
  for (const event of JSON.parse(data)) {
    seen[event.t] = event;
    if (event.t === "joined") socket.send(JSON.stringify({ t: "send", room, text, ref: 2 }));
  }
  if (seen.ack && seen.msgs) socket.close(1000);
});
socket.on("close", (code) => {
  console.log(
    JSON.stringify({ protocol: socket.protocol, extensions: socket.extensions, code, ...seen }),
  );
});
