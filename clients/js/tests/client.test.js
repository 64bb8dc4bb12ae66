import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { Client } from "../src/client.js";
import { BROWSER } from "../src/link.js";

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
    connect: (url) => {
      const socket = { url, sent: [], closed: false, close: () => (socket.closed = true) };
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

  /** The numbers of the messages handed over live, one list for each time. */
  get live() {
    return this.seen("messages").map(([, list]) => list.map(({ seq }) => seq));
  }
}

const WELCOME = { t: "welcome", conn: "c1", uid: "me", name: "guest", role: "guest", heartbeat: 30, v: 1 };
const line = (more) => ({ uid: "u", text: "text", ts: 1, ...more });
const lines = (count) => Array.from({ length: count }, () => line());
const msgs = (seq, to = seq, more) => {
  return { t: "msgs", room: "r", epoch: "e", seq, to, m: lines(to - seq + 1), ...more };
};
const ENTRY = { id: "mine-1", text: "hi", color: 0, mode: "scroll", size: 25 };

let world;
let client;

function joined(more) {
  const ref = world.sent("join").at(-1).ref;
  const fresh = { epoch: "e", seq: 5, online: 1, recovered: false, history: [] };
  world.hear({ t: "joined", ref, room: "r", ...fresh, ...more });
}

const historyOf = (nth) => world.seen("joined")[nth][1].messages;

function enter() {
  world.hear(WELCOME);
  joined();
}

beforeEach(() => {
  world = new World();
  client = new Client({ url: "ws://host/ws", room: "r", on: world.on, env: world.env });
  client.start();
});

describe("beside the messages", () => {
  test("likes and who came are handed on, of this room only, and move nothing", () => {
    world.hear(WELCOME);
    joined({ likes: { like: 3 } });
    assert.deepEqual(world.seen("joined")[0][1].likes, { like: 3 });
    const came = { t: "joins", room: "r", kind: "join", count: 2, names: ["a"] };
    world.hear({ t: "likes", room: "r", counts: { like: 5 } }, came);
    world.hear({ t: "likes", room: "other", counts: { like: 9 } }, { ...came, room: "other" });
    assert.deepEqual(world.seen("likes"), [["likes", { like: 5 }]]);
    assert.deepEqual(world.seen("joins"), [["joins", came]]);
    world.hear(msgs(6));
    assert.deepEqual(world.live, [[6]]);
  });
});

describe("following a room", () => {
  test("it joins without a position, and is open once joined", () => {
    world.hear(WELCOME);
    assert.deepEqual(world.sent("join"), [{ t: "join", room: "r", ref: 1 }]);
    assert.equal(world.state.state, "connecting");
    joined();
    assert.equal(world.state.state, "open");
  });

  test("who one is in the room is handed over, where it is told", () => {
    world.hear(WELCOME);
    joined({ role: "owner" });
    assert.equal(world.seen("joined")[0][1].role, "owner");
    client.switchRoom("s");
    client.switchRoom("r");
    joined();
    assert.equal(world.seen("joined")[1][1].role, undefined);
  });

  test("a frame is handed over as one, without what was seen before", () => {
    enter();
    world.hear(msgs(6, 7), msgs(8), msgs(7, 8));
    assert.deepEqual(world.live, [[6, 7, 8]]);
  });

  test("messages are handed over whole", () => {
    enter();
    const said = { uid: "guest:c-12345", text: "hi", ts: 9, color: 255 };
    world.hear(msgs(6, 6, { m: [said] }));
    const unsaid = { room: "r", seq: 6, id: "e-6", name: "guest-2345", mode: "scroll", size: 25 };
    const absent = Object.fromEntries(
      ["kind", "avatar", "level", "badges", "times", "data"].map((name) => [name, undefined]),
    );
    assert.deepEqual(world.seen("messages"), [["messages", [{ ...said, ...unsaid, ...absent }]]]);
  });

  test("of a batch that overlaps the position only the rest is shown", () => {
    enter();
    world.hear(msgs(4, 7));
    world.hear(msgs(6, 7));
    world.hear(msgs(8));
    assert.deepEqual(world.live, [[6, 7], [8]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("a hole in a batch, at its start or its end is no jump", () => {
    enter();
    world.hear(msgs(6, 11, { m: [line({ seq: 7 }), line({ seq: 9 }), line()] }));
    world.hear(msgs(12, 13, { m: [] }));
    world.hear(msgs(14));
    assert.deepEqual(world.live, [[7, 9, 10], [14]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("a jump re-joins with the position and takes nothing until the answer", () => {
    enter();
    world.advance(2000);
    world.hear(msgs(6), msgs(9, 10), msgs(7, 12), { t: "shed", room: "r", seq: 40, count: 3 });
    assert.deepEqual(world.sent("join")[1].since, { epoch: "e", seq: 6, ts: 1 });
    joined({ seq: 10, recovered: true, history: [line({ seq: 7 }), ...lines(3)] });
    world.hear(msgs(11));
    assert.deepEqual(world.live, [[6], [11]]);
    assert.deepEqual(historyOf(1).map(({ id }) => id), ["e-7", "e-8", "e-9", "e-10"]);
  });

  test("an epoch it was not told of is asked about, though its numbers are small", () => {
    enter();
    world.advance(2000);
    world.hear(msgs(1, 2, { epoch: "f" }), msgs(3, 3, { epoch: "f" }));
    assert.deepEqual(world.sent("join")[1].since, { epoch: "e", seq: 5 });
    joined({ epoch: "f", seq: 3, history: [line({ seq: 1 }), ...lines(2)] });
    world.hear(msgs(4, 4, { epoch: "f" }));
    assert.deepEqual(historyOf(1).map(({ id }) => id), ["f-1", "f-2", "f-3"]);
    assert.equal(world.seen("joined")[1][1].missed, Infinity);
    assert.deepEqual(world.live, [[4]]);
  });

  test("a gap behind a jump is asked about", () => {
    enter();
    world.hear(msgs(5, 5), { t: "gap", room: "r", epoch: "e", seq: 10, lost: 3 });
    assert.deepEqual(world.seen("gap"), []);
    world.advance(1000);
    assert.equal(world.sent("join").at(-1).since.seq, 5);
  });

  test("a gap while a join is unanswered does not hide what the answer brings", () => {
    enter();
    world.hear(msgs(8, 8), { t: "gap", room: "r", epoch: "e", seq: 9, lost: 1 });
    world.advance(2000);
    joined({ epoch: "e", seq: 9, history: [line({ seq: 6 }), ...lines(2)] });
    assert.deepEqual(historyOf(1).map(({ seq }) => seq), [6, 7, 8]);
  });

  test("an epoch a gap told of is followed", () => {
    enter();
    world.hear({ t: "gap", room: "r", epoch: "f", seq: 2, lost: 0 }, msgs(3, 4, { epoch: "f" }));
    assert.deepEqual(world.seen("gap"), [["gap", { lost: 0, anew: true }]]);
    assert.deepEqual(world.live, [[3, 4]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("the first message of a room nobody had spoken in is no gap", () => {
    world.hear(WELCOME);
    joined({ epoch: "", seq: 0 });
    world.hear(msgs(1, 2));
    assert.deepEqual(world.live, [[1, 2]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("what the server shed is not asked for", () => {
    enter();
    world.hear({ t: "shed", room: "r", seq: 8, count: 3 }, msgs(9));
    world.hear(msgs(10, 14, { m: [line({ seq: 12 })] }), { t: "shed", room: "r", seq: 14, count: 4 });
    world.hear({ t: "shed", room: "elsewhere", seq: 90, count: 1 }, msgs(15));
    assert.deepEqual(world.live, [[9], [12], [15]]);
    assert.deepEqual(world.seen("shed"), [["shed", { count: 3 }], ["shed", { count: 4 }]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("what is done to messages takes a number, shown or not", () => {
    enter();
    const control = (t, seq, more) => ({ t, room: "r", epoch: "e", seq, ...more });
    world.hear(msgs(6), control("delete", 7, { target: 6 }));
    world.hear(msgs(8), control("clear", 9, { epoch: undefined }));
    world.hear(control("state", 10, { state: {} }), control("state", 10, { state: {} }), msgs(11));
    assert.deepEqual(world.live, [[6], [8], [11]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("what takes messages back is told behind them, live, in a batch and in a history", () => {
    enter();
    world.hear(msgs(6), { t: "delete", room: "r", epoch: "e", seq: 7, target: 6 });
    world.hear({ t: "delete", room: "r", epoch: "e", seq: 7, target: 6 });
    world.hear(msgs(8, 9, { m: [line(), { t: "clear", uid: "u", ts: 1 }] }));
    const told = () => world.seen("removed").map(([, list]) => list.map(({ t, seq }) => [t, seq]));
    assert.deepEqual(told(), [[["delete", 7]], [["clear", 9]]]);
    const order = world.happened.map(([name]) => name).filter((name) => /messages|removed/.test(name));
    assert.deepEqual(order, ["messages", "removed", "messages", "removed"]);
    world.lose();
    world.advance(250);
    world.hear(WELCOME);
    const history = [{ seq: 10, removed: true }, { t: "delete", target: 3, ts: 1 }];
    joined({ seq: 11, recovered: true, history });
    assert.deepEqual(told().at(-1), [["delete", 11]]);
  });

  test("a jump to such a number, or one of another epoch, is asked about", () => {
    enter();
    world.advance(2000);
    world.hear({ t: "delete", room: "r", epoch: "e", seq: 8, target: 7 });
    assert.deepEqual(world.sent("join")[1].since, { epoch: "e", seq: 5 });
    joined({ seq: 8, recovered: true, history: [line({ seq: 6 }), { seq: 7, removed: true }] });
    assert.deepEqual(historyOf(1).map(({ seq }) => seq), [6]);
    world.advance(2000);
    world.hear({ t: "state", room: "r", epoch: "f", seq: 9, state: {} });
    assert.deepEqual(world.sent("join")[2].since, { epoch: "e", seq: 8 });
  });

  test("a history shows what was not seen, numbered from its first", () => {
    enter();
    world.lose();
    world.advance(250);
    world.hear(WELCOME);
    joined({ seq: 9, history: [line({ seq: 4 }), line(), line(), line({ seq: 9 })] });
    assert.deepEqual(historyOf(1).map(({ id }) => id), ["e-6", "e-9"]);
    assert.equal(world.seen("joined")[1][1].missed, 0);
  });

  test("a room that jumps all the time is re-joined once a second at most", () => {
    enter();
    for (let seq = 7; seq < 107; seq += 2) {
      world.hear(msgs(seq));
      if (world.sent("join").length > 1) joined({ seq });
      world.advance(50);
    }
    assert.ok(world.sent("join").length <= 4);
  });

  test("another room's messages, late after a switch, are not shown", () => {
    enter();
    client.switchRoom("s");
    world.hear(msgs(6));
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
    enter();
    world.advance(10_000);
    world.lose();
    assert.equal(world.state.returnAt - world.time, 250);
  });

  test("a guest shows the key it was given last, also where no new one comes", () => {
    assert.equal(world.socket.url, "ws://host/ws");
    for (const [guest, url] of [["n1.k_-", "ws://host/ws?guest=n1.k_-"], [undefined, "ws://host/ws?guest=n1.k_-"]]) {
      world.hear({ ...WELCOME, guest });
      world.lose();
      world.advance(60_000);
      assert.equal(world.socket.url, url);
    }
    const other = new Client({ url: "ws://host/ws?x=1", room: "r", on: world.on, env: world.env });
    other.start();
    world.hear({ ...WELCOME, guest: "n2.k" });
    world.lose();
    world.advance(60_000);
    assert.ok(world.sockets.some(({ url }) => url === "ws://host/ws?x=1&guest=n2.k"));
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
    joined({ seq: 6, recovered: true, history: [line({ seq: 6, uid: "me", text: "hi" })] });
    assert.equal(world.sent("send").length, 0);
    assert.equal(world.seen("settled").length, 1);
  });

  test("its echo in a batch settles it, and the ack that follows changes nothing", () => {
    enter();
    client.send({ ...ENTRY });
    world.hear(msgs(6, 8, { m: [line(), line({ uid: "me", text: "hi" }), line()] }));
    world.hear({ t: "ack", ref: 2, room: "r", seq: 7, id: "e-7" });
    assert.deepEqual(world.seen("settled").map(([, entry, { id }]) => [entry.id, id]), [["mine-1", "e-7"]]);
  });

  test("what is typed while a jump is asked about goes out after the answer", () => {
    enter();
    world.advance(2000);
    world.hear(msgs(1, 1, { epoch: "f" }));
    client.send({ ...ENTRY });
    assert.equal(world.sent("send").length, 0);
    joined({ epoch: "f", seq: 1, history: [line({ seq: 1 })] });
    assert.equal(world.sent("send")[0].id, "mine-1");
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

describe("being ruled", () => {
  const send = () => client.send({ ...ENTRY });
  const refuse = (more) => world.hear({ t: "error", ref: world.sent("send").at(-1).ref, message: "", ...more });

  test("rules come with a join and with each state, which takes its number", () => {
    world.hear(WELCOME);
    joined({ state: { slow_s: 3 } });
    assert.deepEqual(world.seen("joined")[0][1].rules, { slow_s: 3 });
    assert.deepEqual(world.seen("joined")[0][1].likes, {});
    world.hear({ t: "state", room: "r", seq: 6, ts: 1, state: { slow_s: 0 } }, msgs(7));
    assert.deepEqual(world.seen("ruled"), [["ruled", { slow_s: 0 }]]);
    assert.deepEqual(world.live, [[7]]);
    world.hear({ t: "state", room: "r", seq: 6, ts: 1, state: { slow_s: 9 } });
    assert.equal(world.seen("ruled").length, 1);
  });

  test("one's mute is told, in this room only", () => {
    enter();
    world.hear({ t: "muted", room: "other", until: 0 }, { t: "muted", room: "r", until: 5 });
    assert.deepEqual(world.seen("muted").map(([, { until }]) => until), [5]);
  });

  for (const code of ["muted", "slow_mode", "silenced", "repeated", "word_refused", "banned"]) {
    test(`what is refused as ${code} is given back, not sent again`, () => {
      enter();
      send();
      refuse({ code, retry_after: 2 });
      assert.deepEqual(world.seen("failed").map(([, { text }, error]) => [text, error.code]), [["hi", code]]);
      world.advance(60_000);
      assert.equal(world.sent("send").length, 1);
    });
  }

  test("what is refused because a room is busy goes out again", () => {
    enter();
    send();
    refuse({ code: "room_busy", retry_after: 2 });
    assert.equal(world.seen("error")[0][1].again, true);
    world.advance(2000);
    assert.equal(world.sent("send").length, 2);
  });

  for (const reason of ["kicked", "banned: spam"]) {
    test(`who is ${reason} stays out, over reconnects, until they try again`, () => {
      enter();
      world.hear({ t: "left", room: "r", reason });
      assert.deepEqual(world.seen("left"), [["left", { reason }]]);
      world.hear(msgs(6));
      world.advance(600_000);
      world.lose();
      world.advance(20_000);
      world.hear(WELCOME);
      world.advance(20_000);
      assert.deepEqual(world.sent("join"), []);
      assert.equal(world.seen("left").length, 2);
      client.retry();
      joined();
      assert.equal(world.state.state, "open");
    });
  }

  test("what was typed comes back to who is sent out, and more is refused by the server", () => {
    enter();
    send();
    world.hear({ t: "left", room: "r", reason: "kicked" });
    assert.equal(world.seen("failed").length, 1);
    send();
    refuse({ code: "not_joined" });
    assert.equal(world.seen("failed").length, 2);
  });

  test("another room's left, or the answer to a leave, changes nothing", () => {
    enter();
    world.hear({ t: "left", room: "r" }, { t: "left", room: "other", reason: "banned" }, msgs(6));
    assert.deepEqual(world.live, [[6]]);
  });

  test("a join refused with banned is not tried again, however soon it ends", () => {
    world.hear(WELCOME);
    world.hear({ t: "error", ref: 1, code: "banned", message: "you are banned", retry_after: 1 });
    world.advance(60_000);
    assert.equal(world.sent("join").length, 1);
    assert.deepEqual(world.seen("left"), [["left", { reason: "you are banned" }]]);
    client.switchRoom("other");
    assert.equal(world.sent("join").at(-1).room, "other");
    assert.deepEqual(world.sent("leave"), []);
  });

  for (const [code, words] of [[4504, /banned: spam/], [4506, /anew elsewhere/], [4507, /already/]]) {
    test(`${code} ends it, in words`, () => {
      enter();
      world.socket.onclose({ code, reason: code === 4504 ? "banned: spam" : "" });
      world.advance(600_000);
      assert.equal(world.sockets.length, 1);
      assert.equal(world.state.state, "closed");
      assert.match(world.state.reason, words);
    });
  }

  test("4505 comes back when its bye says, and not before", () => {
    enter();
    world.hear({ t: "bye", reason: "kicked", reconnect_in: 60 });
    world.lose(4505);
    assert.match(world.state.reason, /sent you away/);
    world.advance(59_000);
    assert.equal(world.sockets.length, 1);
    world.advance(1000);
    assert.equal(world.sockets.length, 2);
  });
});

describe("asking", () => {
  const order = { t: "moderate", room: "r", action: "delete", seq: 3 };
  let answers;
  const ask = (command = order) => client.ask(command, (answer) => answers.push(answer.code ?? answer.t));

  beforeEach(() => (answers = []));

  test("each command gets its own answer, once", () => {
    enter();
    ask();
    ask({ ...order, seq: 4 });
    const [first, second] = world.sent("moderate").map(({ ref }) => ref);
    world.hear({ t: "error", ref: second, code: "forbidden", message: "" });
    world.hear({ t: "done", room: "r", action: "delete", ref: first }, { t: "done", ref: first });
    assert.deepEqual(answers, ["forbidden", "done"]);
    assert.deepEqual(world.seen("error"), []);
  });

  test("without a connection there is an answer, too", () => {
    ask();
    enter();
    ask();
    world.lose();
    assert.deepEqual(answers, ["unanswered", "unanswered"]);
  });

  test("a guest's name holds now and for the next connection", () => {
    enter();
    client.rename("花 &", (answer) => answers.push(answer.name));
    const { ref, name } = world.sent("auth")[0];
    world.hear({ t: "authed", uid: "me2", name: "花 & (guest-1)", role: "guest", expires: 0, ref });
    assert.deepEqual([name, answers], ["花 &", ["花 & (guest-1)"]]);
    assert.equal(world.seen("authed").length, 1);
    assert.ok(client.isOwn("me2"));
    world.lose();
    world.advance(20_000);
    assert.equal(new URL(world.socket.url).searchParams.get("name"), "花 &");
  });

  test("who was here before comes with key and name", () => {
    const who = { guest: "k.1", name: "花" };
    new Client({ url: "ws://host/ws", room: "r", on: world.on, env: world.env, who }).start();
    const { searchParams } = new URL(world.socket.url);
    assert.deepEqual(Object.fromEntries(searchParams), who);
  });
});

test("a wait longer than a timer can count does not end at once", (t) => {
  const set = t.mock.method(globalThis, "setTimeout", () => 0);
  BROWSER.setTimeout(() => {}, 90 * 86_400_000);
  assert.equal(set.mock.calls[0].arguments[1], 2 ** 31 - 1);
});

test("a frame that is not JSON, or an event of a newer server, is survived", (t) => {
  t.mock.method(console, "warn", () => {});
  enter();
  world.socket.onmessage({ data: "<html>" });
  world.hear({ t: "confetti", room: "r", seq: 9 }, { t: "msg", room: "r", seq: 6 }, msgs(6));
  assert.deepEqual(world.live, [[6]]);
});
