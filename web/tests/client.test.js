import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { Client } from "../client.js";
import { BROWSER } from "../link.js";

/** A world where time moves only when told, and sockets are what the test makes of them. */
class World {
  time = 1_000_000;
  luck = 0.5;
  sockets = [];
  happened = [];
  #timers = new Map();
  #timerId = 0;

  env = {
    now: () => this.time,
    random: () => this.luck,
    setTimeout: (run, ms) => {
      this.#timers.set((this.#timerId += 1), { at: this.time + ms, run });
      return this.#timerId;
    },
    clearTimeout: (timer) => this.#timers.delete(timer),
    connect: () => {
      const socket = { sent: [], closed: false, close: () => (socket.closed = true) };
      socket.send = (text) => socket.sent.push(JSON.parse(text));
      this.sockets.push(socket);
      return socket;
    },
  };

  on = new Proxy({}, { get: (_, name) => (...details) => this.happened.push([name, ...details]) });

  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const [id, timer] = [...this.#timers].sort((a, b) => a[1].at - b[1].at)[0] ?? [];
      if (!timer || timer.at > end) break;
      this.#timers.delete(id);
      this.time = Math.max(this.time, timer.at);
      timer.run();
    }
    this.time = end;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  hear(...events) {
    this.socket.onmessage({ data: JSON.stringify(events) });
  }

  lose(code = 1006) {
    this.socket.onclose({ code, reason: "" });
  }

  sent(type) {
    return this.socket.sent.filter(({ t }) => t === type);
  }

  seen(name) {
    return this.happened.filter(([happening]) => happening === name);
  }

  get state() {
    return this.seen("state").at(-1)[1];
  }
}

const WELCOME = { t: "welcome", conn: "c1", uid: "me", name: "guest", role: "guest", heartbeat: 30, v: 1 };
const msg = (seq, more) => ({ t: "msg", room: "r", seq, id: `e-${seq}`, uid: "u", text: `m${seq}`, ...more });
const ENTRY = { id: "mine-1", text: "hi", color: 0, mode: "scroll", size: 25 };

let world;
let client;

function joined(more) {
  const ref = world.sent("join").at(-1).ref;
  const fresh = { epoch: "e", seq: 5, online: 1, recovered: false, history: [] };
  world.hear({ t: "joined", ref, room: "r", ...fresh, ...more });
}

function enter() {
  world.hear(WELCOME);
  joined();
}

beforeEach(() => {
  world = new World();
  client = new Client({ url: "ws://host/ws", room: "r", on: world.on, env: world.env });
  client.start();
});

describe("following a room", () => {
  test("it joins without a position, and is open once joined", () => {
    world.hear(WELCOME);
    assert.deepEqual(world.sent("join"), [{ t: "join", room: "r", ref: 1 }]);
    assert.equal(world.state.state, "connecting");
    joined();
    assert.equal(world.state.state, "open");
  });

  test("a batch is handed over as one, without what was seen before", () => {
    enter();
    world.hear(msg(6), msg(7), msg(6));
    assert.deepEqual(world.seen("messages").map(([, list]) => list.map(({ seq }) => seq)), [[6, 7]]);
  });

  test("a jump re-joins with the position and takes nothing until the answer", () => {
    enter();
    world.advance(2000);
    world.hear(msg(6), msg(9), msg(10));
    assert.deepEqual(world.sent("join")[1].since, { epoch: "e", seq: 6 });
    joined({ seq: 10, recovered: true, history: [msg(7), msg(8), msg(9), msg(10)] });
    world.hear(msg(11));
    assert.deepEqual(world.seen("messages").map(([, list]) => list.map(({ seq }) => seq)), [[6], [11]]);
    assert.equal(world.seen("joined")[1][1].messages.length, 4);
  });

  test("a room that jumps all the time is re-joined once a second at most", () => {
    enter();
    for (let seq = 7; seq < 107; seq += 2) {
      world.hear(msg(seq));
      if (world.sent("join").length > 1) joined({ seq });
      world.advance(50);
    }
    assert.ok(world.sent("join").length <= 4);
  });

  test("another room's messages, late after a switch, are not shown", () => {
    enter();
    client.switchRoom("s");
    world.hear(msg(6));
    const last = world.socket.sent.slice(-2).map(({ t, room }) => [t, room]);
    assert.deepEqual(last, [["leave", "r"], ["join", "s"]]);
    assert.equal(world.seen("messages").length, 0);
  });

  test("a refused join that may be retried is, after its time", () => {
    world.hear(WELCOME, { t: "error", ref: 1, code: "unavailable", message: "", retry_after: 3 });
    world.advance(2999);
    assert.equal(world.sent("join").length, 1);
    world.advance(1);
    assert.equal(world.sent("join").length, 2);
  });
});

describe("coming back", () => {
  test("after a loss it waits the jittered time and resumes from its position", () => {
    enter();
    world.hear(msg(6));
    world.lose();
    assert.equal(world.state.returnAt, world.time + 250);
    world.advance(250);
    world.hear(WELCOME);
    assert.deepEqual(world.sent("join")[0].since, { epoch: "e", seq: 6 });
  });

  test("attempts that fail wait longer and longer; one that lasts starts anew", () => {
    const waits = [0, 1, 2].map(() => {
      world.lose();
      const wait = world.state.returnAt - world.time;
      world.advance(wait);
      return wait;
    });
    assert.deepEqual(waits, [250, 500, 1000]);
    enter();
    world.advance(10_000);
    world.lose();
    assert.equal(world.state.returnAt - world.time, 250);
  });

  test("the server's reconnect_in wins", () => {
    enter();
    world.hear({ t: "bye", reason: "restart", reconnect_in: 3.7 });
    world.lose(4000);
    assert.equal(world.state.returnAt - world.time, 3700);
  });

  test("4500 and up stop, even when the browser comes online, until the user asks", () => {
    world.lose(4502);
    assert.deepEqual(world.state, { state: "closed", reason: "Guests may not enter here" });
    world.advance(3_600_000);
    client.online();
    world.advance(60_000);
    assert.equal(world.sockets.length, 1);
    client.retry();
    assert.equal(world.sockets.length, 2);
  });

  test("offline, a lost link waits for online", () => {
    enter();
    client.offline();
    assert.equal(world.sent("ping").length, 1);
    world.lose();
    assert.equal(world.state.state, "closed");
    world.advance(60_000);
    assert.equal(world.sockets.length, 1);
    client.online();
    world.advance(500);
    assert.equal(world.sockets.length, 2);
  });
});

describe("noticing a dead link", () => {
  test("after two and a half heartbeats of silence it asks, and an answer is enough", () => {
    enter();
    world.advance(75_000);
    assert.equal(world.sent("ping").length, 0);
    world.advance(2_000);
    assert.equal(world.sent("ping").length, 1);
    world.hear({ t: "pong" });
    world.advance(60_000);
    assert.equal(world.sockets.length, 1);
  });

  test("without an answer in ten seconds it gives the link up", () => {
    enter();
    world.advance(76_000 + 12_000);
    assert.equal(world.sockets[0].closed, true);
    world.advance(1000);
    assert.equal(world.sockets.length, 2);
  });

  test("a wall clock set back does not make it deaf", (t) => {
    t.mock.method(performance, "now", () => world.time);
    t.mock.method(Date, "now", () => 1_700_000_000_000 - world.time);
    world = new World();
    const env = { ...world.env, now: BROWSER.now };
    client = new Client({ url: "ws://host/ws", room: "r", on: world.on, env });
    client.start();
    enter();
    world.advance(76_000 + 12_000);
    assert.equal(world.sockets[0].closed, true);
  });

  test("a server that never says welcome is given up too", () => {
    world.advance(12_000);
    assert.equal(world.sockets[0].closed, true);
  });
});

describe("sending", () => {
  test("what is typed before the join is answered goes out after it", () => {
    client.send({ ...ENTRY });
    world.hear(WELCOME);
    assert.equal(world.sent("send").length, 0);
    joined();
    assert.deepEqual(world.sent("send"), [{ t: "send", room: "r", ...ENTRY, ref: 2 }]);
  });

  test("an unacknowledged message is repeated with its id on the next link", () => {
    enter();
    client.send({ ...ENTRY });
    world.lose();
    world.advance(250);
    enter();
    assert.equal(world.sent("send")[0].id, "mine-1");
    world.hear({ t: "ack", ref: world.sent("send")[0].ref, room: "r", seq: 6, id: "e-6" });
    assert.equal(world.seen("settled").length, 1);
  });

  test("it is not repeated when the history shows that it arrived", () => {
    enter();
    client.send({ ...ENTRY });
    world.lose();
    world.advance(250);
    world.hear({ ...WELCOME, uid: "me-again" });
    joined({ seq: 6, recovered: true, history: [msg(6, { uid: "me", text: "hi" })] });
    assert.equal(world.sent("send").length, 0);
    assert.equal(world.seen("settled").length, 1);
  });

  test("a rate limit sends it again when it lifts; a final refusal gives it back", () => {
    enter();
    client.send({ ...ENTRY });
    world.hear({ t: "error", ref: 2, code: "rate_limited", message: "", retry_after: 2.5 });
    world.advance(2500);
    assert.equal(world.sent("send").length, 2);
    world.hear({ t: "error", ref: world.sent("send")[1].ref, code: "text_too_long", message: "" });
    assert.equal(world.seen("failed")[0][1].text, "hi");
  });
});

test("a frame that is not JSON, or an event of a newer server, is survived", (t) => {
  t.mock.method(console, "warn", () => {});
  enter();
  world.socket.onmessage({ data: "<html>" });
  world.hear({ t: "confetti" }, msg(6));
  assert.equal(world.seen("messages").length, 1);
});
