import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { world as realWorld } from "../src/env.js";
import { Client } from "../src/index.js";
import { WELCOME, World, msgs, settled } from "./world.js";

let world;
let client;

beforeEach(() => {
  world = new World();
  client = world.client();
});

describe("connecting", () => {
  test("an address that is none, or no WebSocket, is said at once", () => {
    assert.throws(() => new Client("not an address", { env: world.env }), TypeError);
    const { WebSocket } = globalThis;
    delete globalThis.WebSocket;
    try {
      assert.throws(() => new Client("ws://host/ws"), /no WebSocket/);
    } finally {
      if (WebSocket) globalThis.WebSocket = WebSocket;
    }
  });

  test("an address that the browser refuses ends it, in words", () => {
    world = new World();
    world.env.connect = () => {
      throw new Error("insecure");
    };
    client = world.client();
    assert.match(world.state.reason, /insecure/);
    assert.equal(client.state, "closed");
  });

  test("who was here before comes with key and name, who has a token with that", () => {
    const who = { guest: "k.1", name: "花" };
    world.client(who);
    assert.deepEqual(Object.fromEntries(new URL(world.socket.url).searchParams), who);
    world.client({ ...who, token: "a.b c" });
    assert.deepEqual(Object.fromEntries(new URL(world.socket.url).searchParams), { token: "a.b c" });
    assert.equal(world.socket.protocol, "danmaku.json");
  });
});

describe("coming back", () => {
  test("after a loss it waits the jittered time and resumes from its position", () => {
    world.enter();
    world.hear(msgs(6));
    world.lose();
    assert.equal(world.state.returnAt, world.time + 250);
    world.advance(250);
    world.hear(WELCOME);
    assert.deepEqual(world.sent("join")[0].since, { epoch: "e", seq: 6, ts: 1 });
  });

  test("attempts that fail wait longer and longer; one that lasts starts anew", () => {
    const waits = [0, 1, 2].map(() => {
      world.lose();
      const wait = world.state.returnAt - world.time;
      world.advance(wait);
      return wait;
    });
    assert.deepEqual(waits, [250, 500, 1000]);
    world.enter();
    world.advance(10_000);
    world.lose();
    assert.equal(world.state.returnAt - world.time, 250);
  });

  test("a guest shows the key it was given last, also where no new one comes", () => {
    assert.equal(world.socket.url, "ws://host/ws");
    for (const guest of ["n1.k_-", undefined]) {
      world.hear({ ...WELCOME, guest });
      world.lose();
      world.advance(60_000);
      assert.equal(world.socket.url, "ws://host/ws?guest=n1.k_-");
    }
  });

  test("the server's reconnect_in wins", () => {
    world.enter();
    world.hear({ t: "bye", reason: "restart", reconnect_in: 3.7 });
    world.lose(4000);
    assert.equal(world.state.returnAt - world.time, 3700);
  });

  test("4505 comes back when its bye says, and not before, whatever the network does", () => {
    world.enter();
    world.hear({ t: "bye", reason: "kicked", reconnect_in: 60 });
    world.lose(4505);
    assert.match(world.state.reason, /sent you away/);
    world.advance(30_000);
    world.network.online();
    world.advance(59_000);
    assert.equal(world.sockets.length, 1);
    world.advance(1000);
    assert.equal(world.sockets.length, 2);
  });

  for (const code of [1002, 1003, 1007, 1008, 1009, 4500, 4501, 4502, 4503, 4504, 4506, 4507]) {
    test(`${code} ends it, even when the network comes back, until the user asks`, () => {
      world.enter();
      world.lose(code);
      assert.equal(world.state.state, "closed");
      assert.equal(world.state.code, code);
      world.advance(3_600_000);
      world.network.online();
      world.network.offline();
      world.network.online();
      world.advance(60_000);
      assert.equal(world.sockets.length, 1);
      client.retry();
      assert.equal(world.sockets.length, 2);
    });
  }

  test("an end has words, a moderator's among them", () => {
    world.lose(4504, "banned: spam");
    assert.match(world.state.reason, /banned: spam/);
    client.retry();
    world.lose(4506);
    assert.match(world.state.reason, /anew elsewhere/);
  });

  test("without a network, a lost link tries on, and soon when it is said to be there again", () => {
    world.enter();
    world.network.offline();
    assert.equal(world.sent("ping").length, 1);
    world.lose();
    for (let hour = 0; hour < 12; hour += 1) {
      const before = world.sockets.length;
      world.advance(3_600_000); // of sockets that are never answered
      assert.ok(world.sockets.length - before > 60, "it has given up");
    }
    assert.deepEqual(new Set(world.seen("connection").map(({ state }) => state)), new Set(["connecting", "open"]));
    world.luck = 1;
    while (!world.socket.onclose) world.advance(1000);
    world.lose();
    assert.equal(world.state.reason, "There is no network");
    const before = world.sockets.length;
    world.network.online();
    world.advance(500);
    assert.equal(world.sockets.length, before + 1);
    world.enter();
    assert.equal(world.state.state, "open");
  });

  test("who was turned away stays away, also when the network goes and comes", () => {
    world.enter();
    world.lose(4504);
    world.network.offline();
    assert.equal(world.state.state, "closed");
    world.network.online();
    world.advance(3_600_000);
    assert.equal(world.sockets.length, 1);
  });

  test("a listener that asks for another try gets one, not two", () => {
    world.enter();
    const off = client.on("connection", ({ returnAt }) => returnAt && client.retry());
    world.lose();
    off();
    world.advance(60_000);
    assert.equal(world.sockets.filter(({ closed }) => closed === false).length, 1);
  });
});

describe("leaving", () => {
  test("nothing is left: no timer, no socket, nobody who waits for the network", () => {
    world.enter();
    client.close();
    client.close();
    assert.equal(world.socket.closed, 1000);
    assert.equal(world.timers, 0);
    assert.equal(world.network, undefined);
    assert.equal(client.state, "closed");
    client.retry();
    client.join("s");
    assert.equal(world.sockets.length, 1);
  });

  test("also before it began, between attempts, and by a listener", () => {
    new Client("ws://host/ws", { env: world.env }).close();
    world.lose();
    client.close();
    world.advance(60_000);
    assert.equal(world.sockets.length, 1);
    for (const [name, event] of [["connection", WELCOME], ["welcome", WELCOME]]) {
      const other = world.client();
      other.on(name, () => other.close());
      world.hear(event);
      world.advance(60_000);
    }
    assert.equal(world.sockets.length, 3);
    assert.equal(world.timers, 0);
  });
});

describe("noticing a dead link", () => {
  test("after two and a half heartbeats of silence it asks, and an answer is enough", () => {
    world.enter();
    world.advance(75_000);
    assert.equal(world.sent("ping").length, 0);
    world.advance(2_000);
    assert.equal(world.sent("ping").length, 1);
    world.hear({ t: "pong" });
    world.advance(60_000);
    assert.equal(world.sockets.length, 1);
  });

  test("without an answer in ten seconds it gives the link up", () => {
    world.enter();
    world.advance(76_000 + 12_000);
    assert.equal(world.sockets[0].closed, true);
    world.advance(1000);
    assert.equal(world.sockets.length, 2);
  });

  test("a wall clock set back does not make it deaf", (t) => {
    t.mock.method(performance, "now", () => world.time);
    t.mock.method(Date, "now", () => 1_700_000_000_000 - world.time);
    world = new World();
    world.client({ env: { ...world.env, now: realWorld().now } });
    world.enter();
    world.advance(76_000 + 12_000);
    assert.equal(world.sockets[0].closed, true);
  });

  test("a server that never says welcome is given up too", () => {
    world.advance(12_000);
    assert.equal(world.sockets[0].closed, true);
  });
});

describe("a token that is asked for", () => {
  const shown = () => world.sockets.map(({ url }) => new URL(url).searchParams.get("token"));

  test("is asked for each connection", async () => {
    let nth = 0;
    world = new World();
    world.client({ token: async () => `t${(nth += 1)}` });
    await settled();
    world.enter();
    world.lose();
    world.advance(250);
    await settled();
    assert.deepEqual(shown(), ["t1", "t2"]);
  });

  test("that was turned away is not shown again, a newer one is", async () => {
    const tokens = ["old", "new", "new"];
    world = new World();
    world.client({ token: () => tokens.shift() });
    await settled();
    world.lose(4501);
    world.advance(250);
    await settled();
    assert.deepEqual(shown(), ["old", "new"]);
    world.lose(4501);
    world.advance(20_000);
    await settled();
    assert.deepEqual(shown(), ["old", "new"]);
    assert.equal(world.state.state, "closed");
    assert.equal(world.state.code, 4501);
  });

  test("and is not to be had is asked for again, after a while", async () => {
    const answers = [Promise.reject(new Error("login is down")), "t"];
    world = new World();
    world.client({ token: () => answers.shift() });
    await settled();
    assert.match(world.state.reason, /login is down/);
    world.advance(250);
    await settled();
    assert.deepEqual(shown(), ["t"]);
  });

  test("and comes after the end is nobody's", async () => {
    let give;
    world = new World();
    client = world.client({ token: () => new Promise((resolve) => (give = resolve)) });
    await settled();
    client.close();
    give("late");
    await settled();
    assert.deepEqual(shown(), []);
  });

  test("is asked for again when it is about to end", async () => {
    const tokens = ["first", "second"];
    world = new World();
    client = world.client({ token: () => tokens.shift() });
    await settled();
    world.enter({ uid: "u7" });
    world.hear({ t: "expiring", in_s: 60 });
    await settled();
    const [{ token, ref }] = world.sent("auth");
    assert.equal(token, "second");
    world.hear({ t: "authed", uid: "u7", name: "u7", role: "user", expires: 1, ref });
    assert.equal(client.me.expires, 1);
  });

  test("and cannot be renewed is told, and the link lives on until it ends", async () => {
    const answers = ["first", Promise.reject(new Error("login is down"))];
    answers[1].catch(() => {});
    world = new World();
    world.client({ token: () => answers.shift() });
    await settled();
    world.enter();
    world.hear({ t: "expiring", in_s: 60 });
    await settled();
    assert.deepEqual(world.seen("error"), [{ code: "no_token", message: "login is down", again: false }]);
    assert.equal(world.state.state, "open");
  });
});

test("a wait longer than a timer can count does not end at once", (t) => {
  const set = t.mock.method(globalThis, "setTimeout", () => 0);
  realWorld().setTimeout(() => {}, 90 * 86_400_000);
  assert.equal(set.mock.calls[0].arguments[1], 2 ** 31 - 1);
});
