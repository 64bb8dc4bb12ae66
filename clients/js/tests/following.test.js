import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { WELCOME, World, line, lines, msgs } from "./world.js";

let world;
let client;

beforeEach(() => {
  world = new World();
  client = world.client();
});

describe("beside the messages", () => {
  test("counts, likes, who came and one's mute are handed on, of rooms one is in, and move nothing", () => {
    world.hear(WELCOME);
    world.joined({ likes: { like: 3 } });
    assert.deepEqual(world.seen("joined")[0].likes, { like: 3 });
    const events = [
      { t: "likes", counts: { like: 5 } }, { t: "joins", kind: "join", count: 2, names: ["a"] },
      { t: "online", count: 7 }, { t: "muted", until: 5 },
    ];
    world.hear(...events.map((event) => ({ ...event, room: "r" })));
    world.hear(...events.map((event) => ({ ...event, room: "other" })));
    for (const event of events) assert.deepEqual(world.seen(event.t), [{ ...event, room: "r" }]);
    world.hear(msgs(6));
    assert.deepEqual(world.seqs(), [[6]]);
  });

  test("notices are handed on, and that a token or a connection ends", () => {
    world.enter();
    const events = [
      { t: "notice", id: "n", scope: "all", text: "x" }, { t: "expiring", in_s: 60 },
      { t: "bye", reason: "restart", reconnect_in: 1 },
    ];
    world.hear(...events);
    for (const event of events) assert.deepEqual(world.seen(event.t), [event]);
  });
});

describe("following a room", () => {
  test("it joins without a position", () => {
    assert.equal(world.state.state, "connecting");
    world.hear(WELCOME);
    assert.deepEqual(world.sent("join"), [{ t: "join", room: "r", ref: 1 }]);
    assert.equal(client.state, "open");
    assert.equal(client.isIn("r"), false);
    world.joined();
    assert.equal(client.isIn("r"), true);
  });

  test("who one is in the room is handed over, where it is told", () => {
    world.hear(WELCOME);
    world.joined({ role: "owner" });
    client.leave("r");
    client.join("r");
    world.joined();
    assert.deepEqual(world.seen("joined").map(({ role }) => role), ["owner", undefined]);
  });

  test("what was seen before is not told again", () => {
    world.enter();
    world.hear(msgs(6, 7), msgs(8), msgs(7, 8));
    assert.deepEqual(world.seqs(), [[6, 7], [8]]);
  });

  test("messages are handed over whole, together and one by one", () => {
    const single = [];
    client.on("message", (message) => single.push(message));
    world.enter();
    const said = { uid: "guest:c-12345", text: "hi", ts: 9, color: 255 };
    world.hear(msgs(6, 6, { m: [said] }));
    const unsaid = { room: "r", seq: 6, id: "e-6", name: "guest-2345", mode: "scroll", size: 25 };
    const absent = Object.fromEntries(
      ["kind", "avatar", "level", "badges", "times", "data"].map((name) => [name, undefined]),
    );
    const whole = { ...said, ...unsaid, ...absent };
    assert.deepEqual(world.seen("messages"), [{ room: "r", history: false, messages: [whole] }]);
    assert.deepEqual(single, [whole]);
  });

  test("of a batch that overlaps the position only the rest is told", () => {
    world.enter();
    world.hear(msgs(4, 7));
    world.hear(msgs(6, 7));
    world.hear(msgs(8));
    assert.deepEqual(world.seqs(), [[6, 7], [8]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("a hole in a batch, at its start or its end is no jump", () => {
    world.enter();
    world.hear(msgs(6, 11, { m: [line({ seq: 7 }), line({ seq: 9 }), line()] }));
    world.hear(msgs(12, 13, { m: [] }));
    world.hear(msgs(14));
    assert.deepEqual(world.seqs(), [[7, 9, 10], [14]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("a jump re-joins with the position and takes nothing until the answer", () => {
    world.enter();
    world.advance(2000);
    world.hear(msgs(6), msgs(9, 10), msgs(7, 12), { t: "shed", room: "r", seq: 40, count: 3 });
    assert.deepEqual(world.sent("join")[1].since, { epoch: "e", seq: 6, ts: 1 });
    world.joined({ seq: 10, recovered: true, history: [line({ seq: 7 }), ...lines(3)] });
    world.hear(msgs(11));
    assert.deepEqual(world.seqs(), [[6], [11]]);
    assert.deepEqual(world.seqs(true), [[7, 8, 9, 10]]);
    assert.deepEqual(world.seen("gap"), []);
  });

  test("an epoch it was not told of is asked about, though its numbers are small", () => {
    world.enter();
    world.advance(2000);
    world.hear(msgs(1, 2, { epoch: "f" }), msgs(3, 3, { epoch: "f" }));
    assert.deepEqual(world.sent("join")[1].since, { epoch: "e", seq: 5 });
    world.joined({ epoch: "f", seq: 3, history: [line({ seq: 1 }), ...lines(2)] });
    world.hear(msgs(4, 4, { epoch: "f" }));
    const [history, live] = world.seen("messages").map(({ messages }) => messages.map(({ id }) => id));
    assert.deepEqual([history, live], [["f-1", "f-2", "f-3"], ["f-4"]]);
    assert.deepEqual(world.seen("gap"), [{ room: "r", epoch: "f", seq: 0, lost: 0, anew: true }]);
  });

  test("what is gone for good is told before what is left", () => {
    world.enter();
    world.lose();
    world.advance(250);
    world.hear(WELCOME);
    world.joined({ seq: 20, history: [line({ seq: 9 }), ...lines(11)] });
    const names = world.happened.map(([name]) => name).slice(-3);
    assert.deepEqual(names, ["gap", "joined", "messages"]);
    assert.deepEqual(world.seen("gap"), [{ room: "r", epoch: "e", seq: 8, lost: 3, anew: false }]);
  });

  test("a gap behind a jump is asked about", () => {
    world.enter();
    world.hear(msgs(5, 5), { t: "gap", room: "r", epoch: "e", seq: 10, lost: 3 });
    assert.deepEqual(world.seen("gap"), []);
    world.advance(1000);
    assert.equal(world.sent("join").at(-1).since.seq, 5);
  });

  test("a gap while a join is unanswered does not hide what the answer brings", () => {
    world.enter();
    world.hear(msgs(8, 8), { t: "gap", room: "r", epoch: "e", seq: 9, lost: 1 });
    world.advance(2000);
    world.joined({ epoch: "e", seq: 9, history: [line({ seq: 6 }), ...lines(2)] });
    assert.deepEqual(world.seqs(true), [[6, 7, 8]]);
  });

  test("an epoch a gap told of is followed", () => {
    world.enter();
    world.hear({ t: "gap", room: "r", epoch: "f", seq: 2, lost: 0 }, msgs(3, 4, { epoch: "f" }));
    assert.deepEqual(world.seen("gap"), [{ room: "r", epoch: "f", seq: 2, lost: 0, anew: true }]);
    assert.deepEqual(world.seqs(), [[3, 4]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("the first message of a room nobody had spoken in is no gap", () => {
    world.hear(WELCOME);
    world.joined({ epoch: "", seq: 0 });
    world.hear(msgs(1, 2));
    assert.deepEqual(world.seqs(), [[1, 2]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("what the server shed is not asked for", () => {
    world.enter();
    world.hear({ t: "shed", room: "r", seq: 8, count: 3 }, msgs(9));
    world.hear(msgs(10, 14, { m: [line({ seq: 12 })] }), { t: "shed", room: "r", seq: 14, count: 4 });
    world.hear({ t: "shed", room: "elsewhere", seq: 90, count: 1 }, msgs(15));
    assert.deepEqual(world.seqs(), [[9], [12], [15]]);
    assert.deepEqual(world.seen("shed").map(({ seq, count }) => [seq, count]), [[8, 3], [14, 4]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("what is done to messages takes a number, shown or not", () => {
    world.enter();
    const control = (t, seq, more) => ({ t, room: "r", epoch: "e", seq, ...more });
    world.hear(msgs(6), control("delete", 7, { target: 6 }));
    world.hear(msgs(8), control("clear", 9, { epoch: undefined }));
    world.hear(control("state", 10, { state: {} }), control("state", 10, { state: {} }), msgs(11));
    assert.deepEqual(world.seqs(), [[6], [8], [11]]);
    assert.equal(world.sent("join").length, 1);
  });

  test("what takes messages back is told between those before and behind it", () => {
    world.enter();
    world.hear(msgs(6), { t: "delete", room: "r", epoch: "e", seq: 7, target: 6 });
    world.hear({ t: "delete", room: "r", epoch: "e", seq: 7, target: 6 });
    world.hear(msgs(8, 10, { m: [line(), { t: "clear", uid: "u", ts: 1 }, line()] }));
    const told = () => world.happened
      .filter(([name]) => ["messages", "delete", "clear"].includes(name))
      .map(([name, event]) => [name, event.room, event.seq ?? event.messages.map(({ seq }) => seq)]);
    assert.deepEqual(told(), [
      ["messages", "r", [6]], ["delete", "r", 7], ["messages", "r", [8]], ["clear", "r", 9],
      ["messages", "r", [10]],
    ]);
    assert.equal(world.seen("clear")[0].uid, "u");
    world.lose();
    world.advance(250);
    world.hear(WELCOME);
    const history = [{ seq: 11, removed: true }, { t: "delete", target: 3, ts: 1 }];
    world.joined({ seq: 12, recovered: true, history });
    assert.deepEqual(told().at(-1), ["delete", "r", 12]);
  });

  test("a jump to such a number, or one of another epoch, is asked about", () => {
    world.enter();
    world.advance(2000);
    world.hear({ t: "delete", room: "r", epoch: "e", seq: 8, target: 7 });
    assert.deepEqual(world.sent("join")[1].since, { epoch: "e", seq: 5 });
    world.joined({ seq: 8, recovered: true, history: [line({ seq: 6 }), { seq: 7, removed: true }] });
    assert.deepEqual(world.seqs(true), [[6]]);
    world.advance(2000);
    world.hear({ t: "state", room: "r", epoch: "f", seq: 9, state: {} });
    assert.deepEqual(world.sent("join")[2].since, { epoch: "e", seq: 8 });
  });

  test("a history shows what was not seen, numbered from its first", () => {
    world.enter();
    world.lose();
    world.advance(250);
    world.hear(WELCOME);
    world.joined({ seq: 9, history: [line({ seq: 4 }), line(), line(), line({ seq: 9 })] });
    assert.deepEqual(world.seqs(true), [[6, 9]]);
    assert.deepEqual(world.seen("gap"), []);
  });

  test("a room that jumps all the time is re-joined once a second at most", () => {
    world.enter();
    for (let seq = 7; seq < 107; seq += 2) {
      world.hear(msgs(seq));
      if (!client.isIn("r") && world.sent("join").length > 1) world.joined({ seq });
      world.advance(50);
    }
    assert.ok(world.sent("join").length <= 4);
  });

  test("rules come with a join and with each state, which takes its number", () => {
    world.hear(WELCOME);
    world.joined({ state: { slow_s: 3 } });
    assert.deepEqual(world.seen("joined")[0].state, { slow_s: 3 });
    assert.deepEqual(world.seen("joined")[0].likes, {});
    world.hear({ t: "state", room: "r", seq: 6, ts: 1, state: { slow_s: 0 } }, msgs(7));
    assert.deepEqual(world.seen("state"), [{ room: "r", state: { slow_s: 0 } }]);
    assert.deepEqual(world.seqs(), [[7]]);
    world.hear({ t: "state", room: "r", seq: 6, ts: 1, state: { slow_s: 9 } });
    assert.equal(world.seen("state").length, 1);
  });
});

describe("several rooms", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g"];

  test("each has its own position", () => {
    client.join("s");
    world.enter();
    world.joined({ room: "s", epoch: "x", seq: 90 });
    world.hear(msgs(6), msgs(91, 91, { room: "s", epoch: "x" }), msgs(7));
    assert.deepEqual(world.seen("messages").map(({ room, messages }) => [room, messages[0].id]), [
      ["r", "e-6"], ["s", "x-91"], ["r", "e-7"],
    ]);
    world.lose();
    world.advance(250);
    world.hear(WELCOME);
    assert.deepEqual(world.sent("join").map(({ room, since }) => [room, since.seq]), [["r", 7], ["s", 91]]);
  });

  test("few joins are unanswered at a time, and each answer makes room for one", () => {
    world = new World();
    client = world.client({ rooms: names });
    world.hear(WELCOME);
    assert.deepEqual(world.sent("join").map(({ room }) => room), names.slice(0, 5));
    world.joined({ room: "c" });
    world.joined({ room: "a" });
    assert.deepEqual(world.sent("join").map(({ room }) => room), names);
    world.advance(9000);
    assert.equal(world.socket.closed, false);
    world.advance(3000);
    assert.notEqual(world.sockets[0].closed, false, "a join that nobody answers is a dead link");
  });

  test("a rate that was reached holds all of them", () => {
    world = new World();
    client = world.client({ rooms: names });
    world.hear(WELCOME);
    const refs = world.sent("join").map(({ ref }) => ref);
    world.hear({ t: "error", ref: refs[0], code: "rate_limited", message: "", retry_after: 2 });
    world.joined({ room: "b" });
    world.advance(2249);
    assert.equal(world.sent("join").length, 5);
    world.advance(1);
    assert.deepEqual(world.sent("join").slice(5).map(({ room }) => room), ["a", "f"]);
  });

  test("one may be left and joined again, and what comes late is of nobody", () => {
    world.enter();
    client.leave("r");
    assert.deepEqual(client.rooms, []);
    world.hear(msgs(6));
    client.join("r");
    world.hear({ t: "left", room: "r" }, msgs(7));
    assert.deepEqual(world.socket.sent.slice(-2).map(({ t, since }) => [t, since]), [
      ["leave", undefined], ["join", undefined],
    ]);
    assert.deepEqual(world.seqs(), []);
    world.joined({ seq: 7 });
    world.hear(msgs(8));
    assert.deepEqual(world.seqs(), [[8]]);
    client.join("r");
    assert.equal(world.sent("join").length, 2, "who is in is in");
  });

  test("one that is joined without a connection is joined with the next", () => {
    client.join("s");
    client.leave("nowhere");
    world.hear(WELCOME);
    assert.deepEqual(world.sent("join").map(({ room }) => room), ["r", "s"]);
  });
});

describe("being turned away from a room", () => {
  const refuse = (more) => world.hear({ t: "error", ref: world.sent("join").at(-1).ref, message: "no", ...more });

  test("a refused join that may be tried again is, after its time and jitter", () => {
    world.hear(WELCOME);
    refuse({ code: "unavailable", retry_after: 3 });
    const refused = { code: "unavailable", message: "no", retry_after: 3, room: "r", again: true };
    assert.deepEqual(world.seen("refused"), [refused]);
    world.advance(3249);
    assert.equal(world.sent("join").length, 1);
    world.advance(1);
    assert.equal(world.sent("join").length, 2);
  });

  test("those that are told the same do not come back together, the less the oftener they are told it", () => {
    const joins = () => world.sent("join").length;
    for (const most of [500, 1000, 2000]) {
      for (const luck of [0, 0.25, 0.999]) {
        world = new World();
        client = world.client();
        world.hear(WELCOME);
        for (let told = 500; told < most; told *= 2) {
          world.luck = 0;
          refuse({ code: "unavailable", retry_after: 3 });
          world.advance(3000);
        }
        const before = joins();
        world.luck = luck;
        refuse({ code: "unavailable", retry_after: 3 });
        world.advance(3000 + luck * most - 1);
        assert.equal(joins(), before);
        world.advance(2);
        assert.equal(joins(), before + 1);
      }
    }
    world.joined();
    world.lose();
    world.advance(20_000);
    world.hear(WELCOME);
    world.luck = 0.999;
    const before = joins();
    refuse({ code: "unavailable", retry_after: 3 });
    world.advance(3500);
    assert.equal(joins(), before + 1, "an answer begins it anew");
  });

  test("one that helps nothing is not, and the link is fine", () => {
    world.hear(WELCOME);
    refuse({ code: "bad_room" });
    assert.equal(world.seen("refused")[0].again, false);
    world.advance(60_000);
    assert.equal(world.sent("join").length, 1);
    assert.equal(world.sockets.length, 1);
    client.retry();
    assert.equal(world.sent("join").length, 2);
  });

  test("one refused with banned is not tried again, however soon it ends", () => {
    world.hear(WELCOME);
    refuse({ code: "banned", retry_after: 1 });
    assert.equal(world.seen("refused")[0].again, false);
    world.advance(60_000);
    assert.equal(world.sent("join").length, 1);
    client.leave("r");
    assert.deepEqual(world.sent("leave"), []);
  });

  for (const reason of ["kicked", "banned: spam"]) {
    test(`who is ${reason} stays out, over reconnects, until they try again`, () => {
      world.enter();
      world.hear({ t: "left", room: "r", reason });
      assert.deepEqual(world.seen("left"), [{ room: "r", reason }]);
      world.hear(msgs(6));
      world.advance(600_000);
      world.lose();
      world.advance(20_000);
      world.hear(WELCOME);
      world.advance(20_000);
      assert.deepEqual(world.sent("join"), []);
      assert.deepEqual(world.seqs(), []);
      client.join("r");
      world.joined();
      assert.equal(client.isIn("r"), true);
    });
  }

  test("who leaves, or closes, when told of one thing is told no more", () => {
    const history = [{ uid: "u", text: "x", ts: 1, seq: 5 }];
    const off = client.on("joined", () => client.leave("r"));
    world.hear(WELCOME);
    world.joined({ history });
    off();
    client.join("r");
    client.on("joined", () => client.close());
    world.joined({ history });
    assert.equal(world.seen("joined").length, 2);
    assert.deepEqual(world.seen("messages"), []);
  });

  test("another room's left, or the answer to a leave, changes nothing", () => {
    world.enter();
    world.hear({ t: "left", room: "r" }, { t: "left", room: "other", reason: "banned" }, msgs(6));
    assert.deepEqual(world.seqs(), [[6]]);
  });
});

test("a frame that is not JSON, or an event of a newer server, is survived", (t) => {
  t.mock.method(console, "warn", () => {});
  world.enter();
  for (const data of ["<html>", "{}", "null", "7"]) world.socket.onmessage({ data });
  world.hear({ t: "confetti", room: "r", seq: 9 }, { t: "msg", room: "r", seq: 6 }, { t: "new" }, msgs(6));
  assert.deepEqual(world.seqs(), [[6]]);
});

describe("what a proxy may make of it", () => {
  const BAD = [
    null, 5, "x", [], {}, { t: "msgs", room: "r", epoch: "e", seq: 6, to: 6 },
    msgs(6, 6, { m: [null] }), msgs(6, 6, { m: [{ text: "x" }] }), msgs(6, 6, { m: [{ uid: 5, text: "x" }] }),
    { t: "joined", room: "r" }, { t: "error" }, { t: "welcome" },
  ];
  for (const bad of BAD) {
    test(`${JSON.stringify(bad)} throws nothing at the socket, and hides nothing behind it`, (t) => {
      t.mock.method(console, "warn", () => {});
      world.enter();
      world.hear(bad, { t: "online", room: "r", count: 7 });
      assert.equal(world.seen("online").at(-1).count, 7);
    });
  }

  test("a heartbeat that is no number leaves the one before", () => {
    world.enter({ heartbeat: "soon" });
    world.advance(75_000 + 2_000);
    assert.equal(world.sent("ping").length, 1);
  });

  for (const told of [-1, "soon", null]) {
    test(`a wait of ${told} is a back-off's`, () => {
      world.enter();
      world.hear({ t: "bye", reason: "x", reconnect_in: told });
      world.lose(4000);
      assert.equal(world.state.returnAt, world.time + 250);
    });
  }
});
