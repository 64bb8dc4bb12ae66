import assert from "node:assert/strict";
import { test } from "node:test";

import { DUPLICATE, JUMP, NEW, Position } from "../position.js";

const messages = (...seqs) => seqs.map((seq) => ({ seq }));

function at(seq, epoch = "e1") {
  const position = new Position();
  position.join({ epoch, seq, recovered: false, history: [] });
  return position;
}

test("a first join takes the whole history and misses nothing", () => {
  const position = new Position();
  assert.equal(position.since, undefined);
  const taken = position.join({ epoch: "e1", seq: 9, recovered: false, history: messages(7, 8, 9) });
  assert.deepEqual(taken, { messages: messages(7, 8, 9), missed: 0 });
  assert.deepEqual(position.since, { epoch: "e1", seq: 9 });
});

test("the next seq is new, an old one a duplicate, a later one a jump that moves nothing", () => {
  const position = at(5);
  assert.deepEqual([6, 6, 4, 9, 7].map((seq) => position.see(seq)), [NEW, DUPLICATE, DUPLICATE, JUMP, NEW]);
});

test("a recovered join brings exactly what was missed", () => {
  const taken = at(5).join({ epoch: "e1", seq: 7, recovered: true, history: messages(6, 7) });
  assert.deepEqual(taken, { messages: messages(6, 7), missed: 0 });
});

test("an unrecovered join counts the hole and repeats nothing already seen", () => {
  const taken = at(5).join({ epoch: "e1", seq: 12, recovered: false, history: messages(10, 11, 12) });
  assert.deepEqual(taken, { messages: messages(10, 11, 12), missed: 4 });
  const overlapping = at(5).join({ epoch: "e1", seq: 7, recovered: false, history: messages(4, 5, 6, 7) });
  assert.deepEqual(overlapping, { messages: messages(6, 7), missed: 0 });
});

test("an unrecovered join without history has missed everything up to its seq", () => {
  assert.equal(at(5).join({ epoch: "e1", seq: 8, recovered: false, history: [] }).missed, 3);
});

test("in a new epoch lower seqs are new, and how much was missed is unknown", () => {
  const position = at(500);
  const taken = position.join({ epoch: "e2", seq: 2, recovered: false, history: messages(1, 2) });
  assert.deepEqual(taken, { messages: messages(1, 2), missed: Infinity });
  assert.equal(position.see(3), NEW);
});

test("after a gap counting goes on from where the server says", () => {
  const position = at(5);
  assert.equal(position.skip({ epoch: "e1", seq: 20 }), false);
  assert.equal(position.skip({ epoch: "e2", seq: 60 }), true);
  assert.equal(position.see(61), NEW);
});
