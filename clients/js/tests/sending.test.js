import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { DanmakuError } from "../src/index.js";
import { WELCOME, World, line, lines, msgs, outcome, settled } from "./world.js";

let world;
let client;
let sent; // by text: what became of it

const STYLE = { id: "mine-1", color: 0, mode: "scroll", size: 25 };
const send = (text = "hi", options = STYLE, room = "r") => (sent[text] = outcome(client.send(room, text, options)));
const lastRef = () => world.sent("send").at(-1).ref;
const refuse = (more) => world.hear({ t: "error", ref: lastRef(), message: "", ...more });
const code = (text = "hi") => sent[text].error?.code;

function comeBack(welcome) {
  world.lose();
  world.advance(250);
  world.hear({ ...WELCOME, ...welcome });
}

beforeEach(() => {
  sent = {};
  world = new World();
  client = world.client();
});

describe("sending", () => {
  test("what is said before the join is answered goes out after it", async () => {
    send();
    world.hear(WELCOME);
    assert.equal(world.sent("send").length, 0);
    world.joined();
    assert.deepEqual(world.sent("send"), [{ t: "send", room: "r", text: "hi", ...STYLE, ref: 2 }]);
    assert.equal(client.queued, 1);
    const ack = { t: "ack", ref: 2, room: "r", seq: 6, id: "e-6", ts: 3 };
    world.hear(ack);
    await settled();
    assert.deepEqual(sent.hi.value, ack);
    assert.equal(client.queued, 0);
  });

  test("each message has an id of its own", () => {
    world.enter();
    for (const text of ["a", "b"]) send(text, {});
    const [one, other] = world.sent("send").map(({ id }) => id);
    assert.match(one, /^\w+-\d+$/);
    assert.notEqual(one, other);
  });

  test("half a character is made whole", () => {
    world.enter();
    send("half\ud83d", {});
    send("whole🎉", {});
    assert.deepEqual(world.sent("send").map(({ text }) => text), ["half\ufffd", "whole🎉"]);
  });

  test("what no server takes is refused here, for it would end the connection for good", async () => {
    world.enter();
    send("🎉".repeat(2000), {});
    send("x".repeat(2001), {});
    await settled();
    assert.equal(code("x".repeat(2001)), "text_too_long");
    assert.equal(world.sent("send").length, 1);
  });

  test("an unacknowledged message is repeated with its id on the next link", async () => {
    world.enter();
    send();
    comeBack();
    world.joined();
    assert.equal(world.sent("send")[0].id, "mine-1");
    world.hear({ t: "ack", ref: lastRef(), room: "r", seq: 6, id: "e-6", ts: 1 });
    await settled();
    assert.equal(sent.hi.value.seq, 6);
  });

  test("so is one of which nothing comes on a link that lives", async () => {
    world.enter();
    send();
    world.advance(20_000);
    assert.deepEqual(new Set(world.sent("send").map(({ id }) => id)), new Set(["mine-1"]));
    assert.equal(world.sent("send").length, 2);
  });

  test("what is said while a jump is asked about goes out after the answer", () => {
    world.enter();
    world.advance(2000);
    world.hear(msgs(1, 1, { epoch: "f" }));
    send();
    assert.equal(world.sent("send").length, 0);
    world.joined({ epoch: "f", seq: 1, history: [line({ seq: 1 })] });
    assert.equal(world.sent("send")[0].id, "mine-1");
  });

  test("a room that is not open yet holds nobody else's", () => {
    client.join("s");
    world.enter();
    send("there", {}, "s");
    send("here", {});
    assert.deepEqual(world.sent("send").map(({ text }) => text), ["here"]);
    world.joined({ room: "s" });
    assert.deepEqual(world.sent("send").map(({ text }) => text), ["here", "there"]);
  });
});

describe("the queue", () => {
  test("has room for so many, and one more is refused at once", async () => {
    for (let nth = 0; nth < 20; nth += 1) send(`${nth}`, {});
    send("one more", {});
    await settled();
    assert.equal(code("one more"), "queue_full");
    assert.equal(client.queued, 20);
    world.enter();
    assert.deepEqual(world.sent("send").map(({ text }) => text), ["0", "1", "2", "3", "4"]);
    world.hear({ t: "ack", ref: world.sent("send")[1].ref, room: "r", seq: 6, id: "e-6", ts: 1 });
    assert.equal(world.sent("send").at(-1).text, "5");
  });

  test("has as much room as one likes", async () => {
    client = world.client({ queue: 1 });
    send("a", {});
    send("b", {});
    await settled();
    assert.equal(code("b"), "queue_full");
  });

  test("gives up what is too old to be repeated safely", async () => {
    send();
    world.advance(4 * 60_000);
    await settled();
    assert.equal(code(), undefined);
    world.advance(10_000);
    await settled();
    assert.equal(code(), "expired");
  });

  test("and says of what was sent that it may have been published, whatever its age", async () => {
    world.enter();
    send();
    world.lose();
    for (let second = 0; second < 5 * 60; second += 1) world.advance(1000);
    await settled();
    assert.equal(code(), "unanswered");
  });

  test("of a room that is left, of nowhere, and of who has closed, is refused", async () => {
    send();
    client.leave("r");
    send("nowhere", {});
    client.join("s");
    send("there", {}, "s");
    client.close();
    send("late", {}, "s");
    await settled();
    assert.deepEqual(["hi", "nowhere", "there", "late"].map(code), [
      "not_joined", "not_joined", "closed", "closed",
    ]);
  });
});

describe("a guest that comes back as another", () => {
  const other = { uid: "me-again" };

  test("does not repeat what the history shows", async () => {
    world.enter();
    send();
    comeBack(other);
    world.joined({ seq: 6, recovered: true, history: [line({ seq: 6, uid: "me", text: "hi" })] });
    await settled();
    assert.deepEqual(world.sent("send"), []);
    assert.equal(sent.hi.value.id, "e-6");
  });

  test("nor what came by before the link broke", async () => {
    world.enter();
    send();
    world.hear(msgs(6, 6, { m: [line({ uid: "me", text: "hi" })] }));
    comeBack(other);
    world.joined({ seq: 6, recovered: true });
    await settled();
    assert.equal(sent.hi.value.id, "e-6");
  });

  test("says of what nobody knows that nobody knows", async () => {
    world.enter();
    send();
    const off = client.on("joined", () => send("from a listener", {})); // while that is found out
    comeBack(other);
    world.joined({ seq: 9 });
    off();
    await settled();
    assert.equal(code(), "unanswered");
    assert.deepEqual(world.sent("send").map(({ text }) => text), ["from a listener"]);
  });

  test("sends what was never sent, or refused for a while", async () => {
    world.enter();
    send();
    refuse({ code: "rate_limited", retry_after: 30 });
    send("later", {});
    comeBack(other);
    world.joined();
    world.advance(30_250);
    assert.deepEqual(world.sent("send").map(({ text }) => text), ["hi", "later"]);
  });

  test("not what the server's store may have, and has not said so", async () => {
    world.enter();
    send();
    refuse({ code: "unavailable", retry_after: 1 });
    comeBack(other);
    world.joined();
    await settled();
    assert.equal(code(), "unanswered");
  });

  test("and who is the same repeats it: the server knows the id", async () => {
    world.enter();
    send();
    comeBack();
    world.joined({ seq: 6, recovered: true, history: [line({ seq: 6, uid: "me", text: "hi" })] });
    assert.equal(world.sent("send")[0].id, "mine-1");
    await settled();
    assert.equal(sent.hi.value, undefined);
  });
});

describe("being refused", () => {
  test("a rate limit sends it again when it lifts, and tells; a final refusal rejects it", async () => {
    world.enter();
    send();
    refuse({ code: "rate_limited", retry_after: 2.5 });
    const told = { code: "rate_limited", message: "", retry_after: 2.5, room: "r", again: true };
    assert.deepEqual(world.seen("error"), [told]);
    send("behind it", {});
    assert.equal(world.sent("send").length, 1);
    world.advance(2749);
    assert.equal(world.sent("send").length, 1, "many were told the same");
    world.advance(1);
    assert.deepEqual(world.sent("send").map(({ text }) => text), ["hi", "hi", "behind it"]);
    world.hear({ t: "error", ref: world.sent("send")[1].ref, code: "text_too_long", message: "too long" });
    await settled();
    assert.ok(sent.hi.error instanceof DanmakuError);
    assert.deepEqual([code(), sent.hi.error.message], ["text_too_long", "too long"]);
  });

  test("a busy room holds its own, not others'", () => {
    client.join("s");
    world.enter();
    world.joined({ room: "s" });
    send();
    refuse({ code: "room_busy", retry_after: 2 });
    send("here", {});
    send("there", {}, "s");
    assert.deepEqual(world.sent("send").map(({ text }) => text), ["hi", "there"]);
    world.advance(2250);
    assert.deepEqual(world.sent("send").map(({ text }) => text), ["hi", "there", "hi", "here"]);
  });

  for (const final of ["muted", "slow_mode", "silenced", "repeated", "word_refused", "banned", "id_reused"]) {
    test(`what is refused as ${final} is rejected, not sent again`, async () => {
      world.enter();
      send();
      refuse({ code: final, retry_after: 2 });
      await settled();
      assert.deepEqual([code(), sent.hi.error.retry_after], [final, 2]);
      world.advance(60_000);
      assert.equal(world.sent("send").length, 1);
    });
  }

  test("what was said comes back to who is sent out, and more is refused here", async () => {
    world.enter();
    send();
    world.hear({ t: "left", room: "r", reason: "kicked" });
    send("more", {});
    await settled();
    assert.deepEqual([code(), code("more")], ["not_joined", "not_joined"]);
    assert.equal(world.sent("send").length, 1);
  });

  test("an error that answers nothing one asked is told", () => {
    world.enter();
    world.hear({ t: "error", code: "forbidden", message: "a hook says no" });
    assert.equal(world.seen("error")[0].code, "forbidden");
    assert.equal(world.seen("error")[0].again, false);
  });
});

describe("asking", () => {
  const answer = (more) => world.hear({ ref: world.socket.sent.at(-1).ref, ...more });

  test("each command gets its own answer, once", async () => {
    world.enter();
    const asked = [3, 4].map((seq) => outcome(client.moderate("r", "delete", { seq })));
    const [first, second] = world.sent("moderate").map(({ ref }) => ref);
    world.hear({ t: "error", ref: second, code: "forbidden", message: "" });
    world.hear({ t: "done", room: "r", action: "delete", ref: first }, { t: "done", ref: first });
    await settled();
    assert.deepEqual([asked[0].value.t, asked[1].error.code], ["done", "forbidden"]);
    assert.deepEqual(world.seen("error"), []);
  });

  test("what one has to be in a room for waits for the join's answer, what needs none does not", async () => {
    world.hear(WELCOME);
    const asked = ["like", "report", "history"].map((t) => outcome(client.ask({ t, room: "r", seq: 1 })));
    asked.push(outcome(client.moderate("r", "clear")), outcome(client.like("other")));
    const kinds = () => world.socket.sent.map(({ t }) => t);
    assert.deepEqual(kinds(), ["join", "moderate", "like"]);
    world.joined();
    assert.deepEqual(kinds().slice(3), ["like", "report", "history"]);
    for (const { ref } of world.socket.sent.slice(1)) world.hear({ t: "done", ref });
    await settled();
    assert.ok(asked.every(({ value }) => value.t === "done"));
  });

  for (const [how, end] of Object.entries({
    "is refused": () => world.hear({ t: "error", ref: world.sent("join")[0].ref, code: "banned", message: "" }),
    "is left": () => client.leave("r"),
  })) {
    test(`and is the server's to answer where the room ${how}`, async () => {
      world.hear(WELCOME);
      const asked = outcome(client.like("r"));
      end();
      answer({ t: "error", code: "not_joined", message: "" });
      await settled();
      assert.equal(asked.error.code, "not_joined");
    });
  }

  test("and is not sent when it was given up before", async () => {
    world.hear(WELCOME);
    const late = outcome(client.like("r"));
    world.advance(8000);
    world.hear({ t: "error", ref: world.sent("join")[0].ref, code: "unavailable", message: "", retry_after: 60 });
    world.advance(8000);
    const cut = outcome(client.like("r"));
    comeBack();
    world.joined();
    await settled();
    assert.deepEqual([late.error.code, cut.error.code], ["unanswered", "unanswered"]);
    assert.deepEqual(world.sent("like"), []);
  });

  test("commands are what the wire wants", async () => {
    world.enter();
    client.like("r", { count: 3 }).catch(() => {});
    client.report("r", 7, { epoch: "e", reason: "spam" }).catch(() => {});
    const [like, report] = world.socket.sent.slice(-2);
    assert.deepEqual(like, { t: "like", room: "r", count: 3, ref: like.ref });
    assert.deepEqual(report, { t: "report", room: "r", seq: 7, epoch: "e", reason: "spam", ref: report.ref });
  });

  test("what no server takes is not sent, for it would end the connection for good", async () => {
    world.enter();
    const asked = [outcome(client.report("r", 1, { reason: "花".repeat(6000) })), outcome(client.rename("x".repeat(17_000)))];
    await settled();
    assert.deepEqual(asked.map(({ error }) => error.code), ["bad_request", "bad_request"]);
    assert.equal(world.socket.sent.length, 1);
  });

  test("a page of history is whole messages, and moves nothing", async () => {
    world.enter();
    const asked = outcome(client.history("r", { before: 5, limit: 3 }));
    answer({ t: "history", room: "r", epoch: "e", history: [line({ seq: 2 }), { removed: true }, line()], more: true });
    const empty = outcome(client.history("r"));
    answer({ t: "history", room: "r", epoch: "e", history: [], more: false });
    await settled();
    const { messages, first, more } = asked.value;
    assert.deepEqual([messages.map(({ id }) => id), first, more], [["e-2", "e-4"], 2, true]);
    assert.deepEqual(empty.value, { messages: [], first: undefined, more: false });
    world.hear(msgs(6));
    assert.deepEqual(world.seqs(), [[6]]);
  });

  describe("for what is missing", () => {
    const gap = { room: "r", epoch: "e", seq: 300, lost: 250 };
    const places = (first, last) => lines(last - first + 1).map((one, nth) => (nth ? one : { ...one, seq: first }));
    const page = async (more) => {
      answer({ t: "history", room: "r", epoch: "e", more: true, ...more });
      await settled();
    };
    const asked = () => world.sent("history").map(({ before, limit }) => [before, limit]);

    test("gives all that is kept, in order, and how many are gone", async () => {
      world.enter();
      const missed = outcome(client.missed(gap));
      await page({ history: places(201, 300) });
      await page({ history: [] }); // all hidden
      await page({ history: [{ ...line(), seq: 61 }, { t: "delete", target: 3, ts: 1 }, { t: "clear", uid: "u", ts: 1 }], more: false });
      assert.deepEqual(asked(), [[301, 100], [201, 100], [101, 50]]);
      assert.deepEqual(missed.value.messages.map(({ seq }) => seq), [61, ...Array.from({ length: 100 }, (_, nth) => 201 + nth)]);
      assert.equal(missed.value.messages[0].id, "e-61");
      const removals = missed.value.removals.map(({ t, seq, room }) => [t, seq, room]);
      assert.deepEqual(removals, [["delete", 62, "r"], ["clear", 63, "r"]]);
      assert.equal(missed.value.lost, 10);
      assert.deepEqual(world.seen("messages"), [], "no position has moved, and no listener is told");
    });

    test("asks for no more than that, and passes over what was seen", async () => {
      world.enter();
      const missed = outcome(client.missed({ ...gap, lost: 2 }));
      await page({ history: places(297, 300) });
      assert.deepEqual(asked(), [[301, 2]]);
      assert.deepEqual(missed.value.messages.map(({ seq }) => seq), [299, 300]);
      assert.equal(missed.value.lost, 0);
    });

    test("gives nothing of other numbers, asks nothing where nobody knows how many, and is refused as others are", async () => {
      world.enter();
      const other = outcome(client.missed(gap));
      await page({ epoch: "f", history: places(201, 300) });
      const unknown = outcome(client.missed({ ...gap, lost: 0 }));
      await settled();
      for (const { value } of [other, unknown]) assert.deepEqual([value.messages, value.removals], [[], []]);
      assert.deepEqual([other.value.lost, unknown.value.lost], [250, 0]);
      assert.equal(asked().length, 1);
      const refused = outcome(client.missed(gap));
      await page({ t: "error", code: "rate_limited", message: "", retry_after: 1 });
      assert.deepEqual([refused.error.code, refused.error.retry_after], ["rate_limited", 1]);
    });
  });

  test("without a connection, where it ends, and where nothing comes, there is an answer, too", async () => {
    const asked = [outcome(client.ask({ t: "ping" }))];
    world.enter();
    asked.push(outcome(client.ask({ t: "ping" })));
    world.lose();
    world.advance(250);
    world.enter();
    asked.push(outcome(client.ask({ t: "ping" })));
    world.advance(20_000);
    await settled();
    assert.deepEqual(asked.map(({ error }) => error.code), ["unanswered", "unanswered", "unanswered"]);
  });

  test("a guest's name holds now and for the next connection, unless it was refused", async () => {
    world.enter();
    const asked = outcome(client.rename("花 &"));
    answer({ t: "authed", uid: "me2", name: "花 & (guest-1)", role: "guest", expires: 0 });
    await settled();
    assert.equal(asked.value.name, "花 & (guest-1)");
    assert.equal(client.me.uid, "me2");
    assert.ok(client.isOwn("me2") && client.isOwn("me"));
    const refused = outcome(client.rename("damn"));
    answer({ t: "error", code: "word_refused", message: "" });
    await settled();
    assert.equal(refused.error.code, "word_refused");
    world.lose();
    world.advance(20_000);
    assert.equal(new URL(world.socket.url).searchParams.get("name"), "花 &");
  });

  test("a newer token is shown now, and kept unless it is refused", async () => {
    world.enter();
    const asked = outcome(client.authenticate("good"));
    assert.equal(world.sent("auth")[0].token, "good");
    answer({ t: "authed", uid: "u7", name: "u7", role: "user", expires: 9 });
    await settled();
    assert.equal(asked.value.uid, "u7");
    const refused = outcome(client.authenticate("bad"));
    answer({ t: "error", code: "forbidden", message: "" });
    await settled();
    assert.equal(refused.error.code, "forbidden");
    world.lose();
    world.advance(20_000);
    assert.equal(new URL(world.socket.url).searchParams.get("token"), "good");
  });

  test("who is to come back later does so with it, and not before", async () => {
    world.enter();
    world.hear({ t: "bye", reason: "kicked", reconnect_in: 60 });
    world.lose(4505);
    await client.authenticate("good");
    world.advance(59_000);
    assert.equal(world.sockets.length, 1);
    world.advance(1000);
    assert.equal(new URL(world.socket.url).searchParams.get("token"), "good");
  });

  test("who was turned away comes back with it", async () => {
    world.lose(4502);
    assert.equal(client.state, "closed");
    await client.authenticate("good");
    assert.equal(new URL(world.socket.url).searchParams.get("token"), "good");
  });

  test("what was in doubt as a guest is settled when one becomes a user", async () => {
    world.enter();
    send();
    comeBack();
    world.hear({ t: "authed", uid: "u7", name: "u7", role: "user", expires: 9 });
    world.joined();
    await settled();
    assert.equal(code(), "unanswered");
  });
});

test("a listener that throws harms nobody else, and its error is heard", (t) => {
  const later = [];
  t.mock.method(globalThis, "queueMicrotask", (run) => later.push(run));
  client.on("joined", () => {
    throw new Error("a listener's own");
  });
  const heard = [];
  client.on("joined", ({ seq }) => heard.push(seq));
  world.enter();
  world.hear(msgs(6));
  assert.deepEqual(heard, [5]);
  assert.deepEqual(world.seqs(), [[6]]);
  assert.equal(later.length, 1);
  assert.throws(later[0], /a listener's own/);
});
