// The stock JavaScript client of Centrifugo, told what to do by a line of JSON each.
// Usage: node centrifuge_client.mjs URL json|protobuf TOKEN
// Reads {"n", "op", …} and writes {"n", "result"|"error"}, and what it is told as {"event", …}.
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [url, build, token] = process.argv.slice(2);
const { Centrifuge } = await import(
  build === "protobuf" ? "centrifuge/build/protobuf" : "centrifuge"
);

const pack = (data) =>
  build === "protobuf" ? new TextEncoder().encode(JSON.stringify(data)) : data;
const unpack = (data) =>
  build === "protobuf" && data ? JSON.parse(new TextDecoder().decode(data)) : data;
const say = (one) => process.stdout.write(`${JSON.stringify(one)}\n`);

const tokens = token ? token.split(",") : [];
const client = new Centrifuge(url, {
  websocket: WebSocket,
  minReconnectDelay: 20,
  maxReconnectDelay: 200,
  maxServerPingDelay: 2000,
  ...(tokens.length ? { token: tokens[0], getToken: async () => tokens[tokens.length - 1] } : {}),
});
for (const event of ["connecting", "connected", "disconnected", "error", "message"]) {
  client.on(event, (context) => {
    say({ event, ...context, data: unpack(context.data) });
  });
}

function subscribe({ room, token: one }) {
  const subscription = client.newSubscription(room, {
    minResubscribeDelay: 20,
    maxResubscribeDelay: 200,
    ...(one ? { token: one } : {}),
  });
  for (const event of ["subscribing", "subscribed", "unsubscribed", "error"]) {
    subscription.on(event, (context) => {
      say({ event: event === "error" ? "refused" : event, ...context, data: unpack(context.data) });
    });
  }
  subscription.on("publication", ({ channel, data, offset, info }) =>
    say({ event: "publication", channel, data: unpack(data), offset, user: info?.user }),
  );
  subscription.subscribe();
}

const publications = (found) => ({
  offset: found.offset,
  epoch: found.epoch,
  publications: found.publications.map(({ data, offset }) => ({ data: unpack(data), offset })),
});
const ops = {
  connect: () => client.connect(),
  subscribe,
  unsubscribe: ({ room }) => client.getSubscription(room).unsubscribe(),
  publish: async ({ room, data }) => void (await client.publish(room, pack(data))),
  history: async ({ room, ...options }) => publications(await client.history(room, options)),
  stats: ({ room }) => client.presenceStats(room),
  presence: ({ room }) => client.presence(room),
  rpc: ({ method }) => client.rpc(method, pack({})),
};
for await (const line of createInterface({ input: process.stdin })) {
  const { n, op, ...given } = JSON.parse(line);
  Promise.resolve()
    .then(() => ops[op](given))
    .then((result) => say({ n, result: result ?? null }))
    .catch((error) => say({ n, error }));
}
client.disconnect();
