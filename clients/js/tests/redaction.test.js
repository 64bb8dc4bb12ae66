import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { means, removals } from "../src/redaction.js";

const said = (seq, uid = "u") => ({ seq, uid });

describe("what takes messages back", () => {
  test("is found among places, with its number", () => {
    const places = [
      { uid: "u", text: "hi", ts: 1 },
      { t: "delete", target: 3, ts: 1 },
      { seq: 9, removed: true },
      { t: "clear", uid: "u", ts: 1 },
      { t: "state", state: {}, ts: 1 },
    ];
    assert.deepEqual(
      removals(places, 7).map(({ t, seq }) => [t, seq]),
      [
        ["delete", 8],
        ["clear", 10],
      ],
    );
    assert.deepEqual(removals(places, 7, 10), []);
  });

  test("a delete means one message", () => {
    const gone = { t: "delete", seq: 5, target: 2 };
    assert.deepEqual([1, 2, 3].map((seq) => means(gone, said(seq))), [false, true, false]);
  });

  test("a clear means all before it, or those of one user", () => {
    const all = { t: "clear", seq: 5 };
    const one = { t: "clear", seq: 5, uid: "u" };
    assert.ok(means(all, said(4, "v")));
    assert.ok(!means(all, said(6)));
    assert.ok(means(one, said(4)));
    assert.ok(!means(one, said(4, "v")));
    assert.ok(!means(all, { uid: "u" }), "what has no number yet");
  });
});
