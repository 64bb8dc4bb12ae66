import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Outbox } from "../src/outbox.js";

let outbox;
let ref;
const how = { uid: "me", nextRef: () => (ref += 1), isLive: () => true };
const nobody = { resolve() {}, reject() {} };
const texts = (entries) => entries.map(({ said }) => said.text);
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
  outbox.refused(1, { againAt: 2600 });
  outbox.refused(2, { againAt: 2500 });
  assert.deepEqual(outbox.due(2599, how), []);
  assert.equal(outbox.heldMs(2599), 1);
  assert.deepEqual(outbox.due(2600, how).map(({ said }) => said.id), ["id-a", "id-b"]);
  assert.equal(outbox.heldMs(2600), 0);
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
  outbox.refused(2, { againAt: 0 }); // b: known not to be published
  outbox.unsend();
  const other = { ...how, uid: "other" };
  assert.deepEqual(texts(outbox.due(1, other)), ["b"]);
  assert.deepEqual(texts(outbox.inDoubt("elsewhere", "other")), []);
  assert.deepEqual(texts(outbox.inDoubt("r", "other")), ["a"]);
  assert.deepEqual(texts(outbox.inDoubt("r", "other")), []);
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
