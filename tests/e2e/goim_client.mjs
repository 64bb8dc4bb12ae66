// One of the stock clients of goim's framing, as it is published; prints what it is told.
// Usage: node goim_client.mjs bilibili-live-ws|tiny-bilibili-ws PORT ROOMID PROTOVER [KEY]
// A line of JSON an event: ["open"], ["online", n], ["word", {cmd, …}], ["close"].
// Reads commands by line: "pause" and "resume" its reading, "beat". Ends with its input.
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [library, port, room, protover, key] = process.argv.slice(2);
const tell = (...event) => console.log(JSON.stringify(event));
const sockets = [];

async function connected() {
  if (library === "bilibili-live-ws") {
    const { default: stock } = await import("bilibili-live-ws");
    const address = `ws://127.0.0.1:${port}/sub`;
    const live = new stock.KeepLiveWS(Number(room), { address, protover: Number(protover), key });
    live.on("msg", (word) => tell("word", word));
    live.on("e", () => {});
    return [live, () => live.connection.ws.ws];
  }
  globalThis.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      sockets.push(this);
    }
  };
  const { KeepLiveWS } = await import("tiny-bilibili-ws/browser");
  const live = new KeepLiveWS(Number(room), {
    ssl: false,
    host: "127.0.0.1",
    port: Number(port),
    protover: Number(protover),
    reconnectTime: 200,
    key,
    uid: 0,
  });
  live.on("msg", ({ data }) => tell("word", data));
  live.on("error", () => {});
  live.on("deserialize:error", (error) => tell("unread", String(error)));
  return [live, () => sockets.at(-1)];
}

const [live, socket] = await connected();
live.on("live", () => tell("open"));
live.on("heartbeat", (online) => tell("online", online));
live.on("close", () => tell("close"));

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  if (line === "beat") live.heartbeat();
  if (line === "pause") socket()._socket.pause();
  if (line === "resume") socket()._socket.resume();
});
input.on("close", () => process.exit(0));
