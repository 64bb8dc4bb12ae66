import assert from "node:assert/strict";
import { test } from "node:test";

import { backoffMs, mayReturn } from "../src/backoff.js";

test("the cap doubles from half a second and stops at twenty", () => {
  const caps = [0, 1, 2, 3, 4, 5, 6, 50].map((attempt) => backoffMs(attempt, () => 1));
  assert.deepEqual(caps, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
});

test("jitter is full: it reaches down to nothing", () => {
  assert.equal(backoffMs(4, () => 0), 0);
  assert.equal(backoffMs(4, () => 0.25), 2000);
});

test("only 4500 to 4999 forbid coming back", () => {
  assert.ok([1006, 1011, 4000, 4499, 4505, 5000].every(mayReturn));
  assert.deepEqual([4500, 4503, 4999].map(mayReturn), [false, false, false]);
});
