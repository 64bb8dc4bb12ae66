import assert from "node:assert/strict";
import { test } from "node:test";

import { backoffMs, mayReturn, mayReturnWithToken } from "../src/backoff.js";

test("the cap doubles from half a second and stops at twenty", () => {
  const caps = [0, 1, 2, 3, 4, 5, 6, 50].map((attempt) => backoffMs(attempt, () => 1));
  assert.deepEqual(caps, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
});

test("jitter is full: it reaches down to nothing", () => {
  assert.equal(backoffMs(4, () => 0), 0);
  assert.equal(backoffMs(4, () => 0.25), 2000);
});

test("4500 to 4999 forbid coming back, but for a kick, and so does what would be wrong again", () => {
  assert.ok([1000, 1001, 1006, 1011, 1012, 1013, 4000, 4499, 4505, 5000].every(mayReturn));
  assert.ok(![1002, 1003, 1007, 1008, 1009, 4500, 4503, 4504, 4506, 4999].some(mayReturn));
});

test("only who was not let in by a token may come with another", () => {
  assert.ok([4500, 4501, 4502].every(mayReturnWithToken));
  assert.ok(![1008, 4503, 4504, 4505, 4506, 4507].some(mayReturnWithToken));
});
