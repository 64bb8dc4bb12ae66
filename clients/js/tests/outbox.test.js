import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Outbox } from "../src/outbox.js";

let outbox;
let ref;
const nextRef = () => (ref += 1);
const texts = (entries) => entries.map(({ text }) => text);
const add = (...words) => words.forEach((text) => outbox.add({ id: `id-${text}`, text }, 0));

beforeEach(() => {
  outbox = new Outbox();
  ref = 0;
});

test("entries leave in order, five in flight at most, an ack making room for one", () => {
  add("a", "b", "c", "d", "e", "f", "g");
  assert.deepEqual(texts(outbox.due(0, nextRef)), ["a", "b", "c", "d", "e"]);
  assert.deepEqual(outbox.due(0, nextRef), []);
  assert.equal(outbox.acked(2, 71).text, "b");
  assert.deepEqual(texts(outbox.due(0, nextRef)), ["f"]);
});

test("it refuses the twenty-first", () => {
  for (let nth = 0; nth < 20; nth += 1) assert.equal(outbox.add({ text: "x" }, 0), true);
  assert.equal(outbox.add({ text: "x" }, 0), false);
});

test("a retryable refusal holds everything for its time, then order is kept and the id the same", () => {
  add("a", "b");
  outbox.due(0, nextRef);
  outbox.refused(1, 2500, 100);
  outbox.refused(2, 2500, 100);
  assert.deepEqual(outbox.due(2599, nextRef), []);
  assert.equal(outbox.heldMs(2599), 1);
  assert.deepEqual(outbox.due(2600, nextRef).map(({ id }) => id), ["id-a", "id-b"]);
});

test("a final refusal gives the entry back", () => {
  add("a");
  outbox.due(0, nextRef);
  assert.equal(outbox.refused(1, undefined, 0).text, "a");
  assert.equal(outbox.size, 0);
});

test("after a lost link what was in flight goes out again", () => {
  add("a");
  outbox.due(0, nextRef);
  outbox.unsend();
  assert.deepEqual(texts(outbox.due(0, nextRef)), ["a"]);
});

test("an own message coming by counts as delivery, but only of something that was sent", () => {
  add("a");
  assert.equal(outbox.echoed({ seq: 1, text: "a" }), undefined);
  outbox.due(0, nextRef);
  assert.equal(outbox.echoed({ seq: 2, text: "a" }).text, "a");
});

test("the echo of an acknowledged message does not settle its twin", () => {
  add("same", "same");
  outbox.due(0, nextRef);
  outbox.acked(1, 7);
  assert.equal(outbox.echoed({ seq: 7, text: "same" }), undefined);
  assert.equal(outbox.size, 1);
});

test("an entry the server may have forgotten is given up rather than repeated", () => {
  add("a");
  assert.deepEqual(outbox.expire(4 * 60_000), []);
  assert.deepEqual(texts(outbox.expire(4 * 60_000 + 1)), ["a"]);
});
