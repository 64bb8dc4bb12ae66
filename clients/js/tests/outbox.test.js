import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Outbox } from "../src/outbox.js";

let outbox;
let ref;
const how = { uid: "me", nextRef: () => (ref += 1), isLive: () => true };
const nobody = { resolve() {}, reject() {} };
const texts = (entries) => entries.map(({ said }) => said.text);
const again = (againAt, more) => ({ againAt, random: () => 0, ...more });
const add = (...words) => words.map((text) => outbox.add({ room: "r", id: `id-${text}`, text }, nobody, 0));

beforeEach(() => {
  outbox = new Outbox();
  ref = 0;
});

test("entries leave in order, five in flight at most, an ack making room for one", () => {
  add("a", "b", "c", "d", "e", "f", "g");
  assert.deepEqual(texts(outbox.due(0, how)), ["a", "b", "c", "d", "e"]);
  assert.deepEqual(outbox.due(0, how), []);
  assert.equal(outbox.acked(2).said.text, "b");
  assert.equal(outbox.acked(2), undefined);
  assert.equal(outbox.acked(undefined), undefined);
  assert.deepEqual(texts(outbox.due(0, how)), ["f"]);
});

test("it refuses the twenty-first", () => {
  for (let nth = 0; nth < 20; nth += 1) assert.deepEqual(add("x"), [true]);
  assert.deepEqual(add("x"), [false]);
});

test("a retryable refusal holds everything for its time, then order is kept and the id the same", () => {
  add("a", "b");
  outbox.due(0, how);
  outbox.refused(1, again(2600));
  outbox.refused(2, again(2500));
  assert.deepEqual(outbox.due(2599, how), []);
  assert.equal(outbox.heldMs(2599), 1);
  assert.deepEqual(outbox.due(2600, how).map(({ said }) => said.id), ["id-a", "id-b"]);
  assert.equal(outbox.heldMs(2600), 0);
});

test("jitter goes on top of what was told, the more the oftener it was refused", () => {
  add("a");
  let now = 0;
  for (const most of [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]) {
    outbox.due(now, how);
    outbox.refused(ref, again(now + 1000, { random: () => 0.5 }));
    assert.equal(outbox.heldMs(now), 1000 + most / 2);
    now += outbox.heldMs(now);
  }
});

test("a final refusal gives the entry back, one of something else nothing", () => {
  add("a");
  outbox.due(0, how);
  assert.equal(outbox.refused(7, {}), undefined);
  assert.equal(outbox.refused(undefined, {}), undefined);
  assert.equal(outbox.refused(1, {}).said.text, "a");
  assert.equal(outbox.size, 0);
});

test("after a lost link, or without an answer, what was in flight goes out again", () => {
  add("a");
  outbox.due(0, how);
  outbox.unsend();
  assert.deepEqual(texts(outbox.due(1000, how)), ["a"]);
  outbox.unanswered(11_000);
  assert.deepEqual(outbox.due(11_000, how), []);
  outbox.unanswered(11_001);
  assert.deepEqual(texts(outbox.due(11_001, how)), ["a"]);
});

test("what was sent as another is not sent again, and in doubt", () => {
  add("a", "b");
  outbox.due(0, { ...how, isLive: () => true });
  outbox.refused(2, again(0)); // b: known not to be published
  outbox.unsend();
  const other = { ...how, uid: "other" };
  assert.deepEqual(texts(outbox.due(1, other)), ["b"]);
  assert.deepEqual(texts(outbox.inDoubt("elsewhere", "other")), []);
  assert.deepEqual(texts(outbox.inDoubt("r", "other")), ["a"]);
  assert.deepEqual(texts(outbox.inDoubt("r", "other")), []);
});

test("so is what was refused, where a sending before that had no answer, or the refusal leaves it open", () => {
  add("a", "b");
  outbox.due(0, how);
  outbox.unsend();
  outbox.due(1, how); // both may have been published by the first
  outbox.refused(3, again(1));
  outbox.acked(4);
  add("c");
  outbox.due(2, how);
  outbox.refused(6, again(2, { doubtful: true }));
  outbox.unsend();
  assert.deepEqual(texts(outbox.due(3, { ...how, uid: "other" })), []);
  assert.deepEqual(texts(outbox.inDoubt("r", "other")), ["a", "c"]);
});

test("an own message that came by answers what is in doubt, the oldest of that text first", () => {
  add("same", "same");
  const echo = { room: "r", text: "same", uid: "me", ts: 1 };
  outbox.echoed({ ...echo, seq: 1, id: "e-1" }); // nothing was sent
  outbox.due(0, how);
  outbox.echoed({ ...echo, room: "other", seq: 2, id: "e-2" });
  outbox.echoed({ ...echo, uid: "somebody", seq: 3, id: "e-3" });
  outbox.echoed({ ...echo, seq: 4, id: "e-4" });
  outbox.unsend();
  assert.deepEqual(outbox.inDoubt("r", "other").map((entry) => entry.echo?.id), ["e-4", undefined]);
});

test("an entry the server may have forgotten is given up rather than repeated", () => {
  add("a");
  assert.deepEqual(outbox.expire(4 * 60_000), []);
  assert.deepEqual(texts(outbox.expire(4 * 60_000 + 1)), ["a"]);
});

test("what was sent late is repeated for as long as the server remembers it, what was only refused is not", () => {
  add("a", "b");
  outbox.due(3 * 60_000, how);
  outbox.refused(2, again(3 * 60_000)); // b: known not to be published
  outbox.unsend();
  assert.deepEqual(texts(outbox.expire(5 * 60_000)), ["b"]);
  outbox.due(6 * 60_000, how);
  assert.deepEqual(texts(outbox.expire(7 * 60_000)), []);
  assert.deepEqual(texts(outbox.expire(7 * 60_000 + 1)), ["a"]);
});
