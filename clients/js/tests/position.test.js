import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { DUPLICATE, JUMP, NEW, Position } from "../src/position.js";

const messages = (...seqs) => seqs.map((seq) => ({ seq }));
const span = (seq, to = seq, epoch = "e1") => ({ epoch, seq, to });

function at(seq, epoch = "e1") {
  const position = new Position();
  position.join({ epoch, seq, recovered: false, history: [] });
  return position;
}

describe("a live span", () => {
  test("that is next is new and moves the position to its end", () => {
    const position = at(5);
    assert.equal(position.take(span(6)), NEW);
    assert.equal(position.take(span(7, 20)), NEW);
    assert.deepEqual(position.since, { epoch: "e1", seq: 20 });
  });

  test("that begins before the position and ends after it is new", () => {
    const position = at(5);
    assert.equal(position.take(span(3, 8)), NEW);
    assert.equal(position.seq, 8);
  });

  test("that ends at or before the position is a duplicate", () => {
    const position = at(5);
    for (const each of [span(5), span(2, 5), span(1, 4)]) assert.equal(position.take(each), DUPLICATE);
    assert.equal(position.seq, 5);
  });

  test("that begins later is a jump and moves nothing", () => {
    const position = at(5);
    assert.equal(position.take(span(7, 9)), JUMP);
    assert.deepEqual(position.since, { epoch: "e1", seq: 5 });
    assert.equal(position.take(span(6, 9)), NEW);
  });

  test("of an epoch nobody told us of is a jump, whatever its numbers", () => {
    const position = at(500);
    for (const [seq, to] of [[1, 3], [499, 510], [501, 502], [900, 900]]) {
      assert.equal(position.take(span(seq, to, "e2")), JUMP);
    }
    assert.deepEqual(position.since, { epoch: "e1", seq: 500 });
  });

  test("without an end is one number, without an epoch of ours", () => {
    const position = at(5);
    assert.deepEqual([6, 6, 9, 7].map((seq) => position.take({ seq })), [NEW, DUPLICATE, JUMP, NEW]);
    assert.equal(position.take({ epoch: "e2", seq: 8 }), JUMP);
    assert.equal(position.seq, 7);
  });
});

describe("what is shed", () => {
  test("is not asked for: the next span begins after it", () => {
    const position = at(5);
    position.shed(20);
    assert.deepEqual(position.since, { epoch: "e1", seq: 20 });
    assert.equal(position.take(span(21, 22)), NEW);
  });

  test("in a span already taken moves nothing back", () => {
    const position = at(5);
    position.take(span(6, 20));
    position.shed(18);
    assert.equal(position.seq, 20);
  });
});

describe("a join", () => {
  test("the first one has seen nothing and missed nothing", () => {
    const position = new Position();
    assert.equal(position.since, undefined);
    const taken = position.join({ epoch: "e1", seq: 9, recovered: false, history: messages(7, 8, 9) });
    assert.deepEqual(taken, { seen: 0, missed: 0 });
    assert.deepEqual(position.since, { epoch: "e1", seq: 9 });
  });

  test("recovered, it brings exactly what was missed", () => {
    const taken = at(5).join({ epoch: "e1", seq: 7, recovered: true, history: messages(6, 7) });
    assert.deepEqual(taken, { seen: 5, missed: 0 });
  });

  test("recovered, it may pass over numbers, its first too", () => {
    const taken = at(5).join({ epoch: "e1", seq: 12, recovered: true, history: messages(9) });
    assert.deepEqual(taken, { seen: 5, missed: 0 });
  });

  test("unrecovered, it counts what lies before its history", () => {
    const taken = at(5).join({ epoch: "e1", seq: 12, recovered: false, history: messages(10, 11, 12) });
    assert.deepEqual(taken, { seen: 5, missed: 4 });
  });

  test("unrecovered, it misses nothing when its history begins before the position", () => {
    const history = [{ seq: 4 }, {}, { seq: 9 }, {}];
    const taken = at(5).join({ epoch: "e1", seq: 10, recovered: false, history });
    assert.deepEqual(taken, { seen: 5, missed: 0 });
  });

  test("unrecovered and without history, it has missed everything up to its seq", () => {
    assert.equal(at(5).join({ epoch: "e1", seq: 8, recovered: false, history: [] }).missed, 3);
  });

  test("in a new epoch nothing was seen, and how much was missed is unknown", () => {
    const position = at(500);
    const taken = position.join({ epoch: "e2", seq: 2, recovered: false, history: messages(1, 2) });
    assert.deepEqual(taken, { seen: 0, missed: Infinity });
    assert.equal(position.take(span(3, 3, "e2")), NEW);
    assert.equal(position.take(span(501)), JUMP);
  });
});

describe("the time of what stands at the position", () => {
  test("is that of the last one taken, and comes with it", () => {
    const position = at(5);
    position.take({ ...span(6, 8), ts: 80 });
    assert.deepEqual(position.since, { epoch: "e1", seq: 8, ts: 80 });
    position.take({ ...span(2, 8), ts: 99 });
    position.take({ ...span(10), ts: 99 });
    position.shed(8);
    assert.deepEqual(position.since, { epoch: "e1", seq: 8, ts: 80 });
    position.join({ epoch: "e1", seq: 9, ts: 90, recovered: true, history: [{ seq: 9, ts: 90 }] });
    assert.deepEqual(position.since, { epoch: "e1", seq: 9, ts: 90 });
  });

  test("is not known where nothing is shown", () => {
    for (const move of [
      (position) => position.take(span(7)),
      (position) => position.shed(7),
      (position) => position.skip({ epoch: "e1", seq: 7 }),
      (position) => position.join({ epoch: "e1", seq: 7, recovered: true, history: [] }),
    ]) {
      const position = at(5);
      position.take({ ...span(6), ts: 60 });
      move(position);
      assert.deepEqual(position.since, { epoch: "e1", seq: 7 });
    }
  });
});

describe("a number that was given out twice", () => {
  const after = (joined) => {
    const position = at(5);
    position.take({ ...span(6), ts: 60 });
    return position.join({ epoch: "e1", recovered: false, ...joined });
  };

  test("shows all there is, and nobody knows how much is missing", () => {
    const history = [{ seq: 5, ts: 50 }, { ts: 61 }, { ts: 70 }];
    assert.deepEqual(after({ seq: 7, ts: 70, history }), { seen: 0, missed: Infinity });
  });

  test("also before it is given out again", () => {
    assert.deepEqual(after({ seq: 5, history: messages(4, 5) }), { seen: 0, missed: Infinity });
  });

  test("is not one where the same stands there; what lies between is counted", () => {
    const history = [{ seq: 6, ts: 60 }, { ts: 70 }];
    assert.deepEqual(after({ seq: 7, ts: 70, history }), { seen: 6, missed: 0 });
    assert.deepEqual(after({ seq: 9, history: messages(8, 9) }), { seen: 6, missed: 1 });
  });

  test("is seen by the answer's own time, where its history does not show the place", () => {
    assert.deepEqual(after({ seq: 6, ts: 61, history: [] }), { seen: 0, missed: Infinity });
    assert.deepEqual(after({ seq: 6, ts: 60, history: [] }), { seen: 6, missed: 0 });
  });

  test("may be one where nothing vouches for the place: nobody knows how much is missing", () => {
    assert.deepEqual(after({ seq: 8, history: messages(7, 8) }), { seen: 6, missed: Infinity });
  });
});

test("after a gap counting goes on from where the server says", () => {
  const position = at(5);
  assert.equal(position.skip({ epoch: "e1", seq: 20 }), false);
  assert.equal(position.skip({ epoch: "e2", seq: 3 }), true);
  assert.equal(position.take(span(4, 6, "e2")), NEW);
});

test("a gap that does not go on from here follows a jump", () => {
  const position = at(5);
  assert.equal(position.jumpsTo({ epoch: "e1", seq: 8, lost: 3 }), false);
  assert.equal(position.jumpsTo({ epoch: "e1", seq: 10, lost: 3 }), true);
  assert.equal(position.jumpsTo({ epoch: "e2", seq: 10, lost: 0 }), false);
});

describe("a room nobody had spoken in", () => {
  test("goes on with the first epoch's first number", () => {
    const position = at(0, "");
    assert.equal(position.known, true);
    assert.deepEqual(position.since, { epoch: "", seq: 0 });
    assert.equal(position.take(span(2, 3)), JUMP);
    assert.equal(position.take(span(1, 3)), NEW);
    assert.deepEqual(position.since, { epoch: "e1", seq: 3 });
    assert.equal(position.take(span(4, 4, "e2")), JUMP);
  });

  test("asks about a first place that names no epoch, and not about its own", () => {
    const position = at(0, "");
    assert.equal(position.take({ seq: 1 }), JUMP);
    assert.equal(position.take(span(1, 0, "")), DUPLICATE);
    assert.deepEqual(position.since, { epoch: "", seq: 0 });
  });

  test("is no numbering that could begin anew", () => {
    const taken = at(0, "").join({ epoch: "e1", seq: 4, recovered: false, history: messages(3, 4) });
    assert.deepEqual(taken, { seen: 0, missed: 2 });
    assert.equal(at(0, "").skip({ epoch: "e1", seq: 4 }), false);
  });
});
