import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { rank } from "../src/roles.js";

describe("roles", () => {
  test("stand in order, and an unknown one is a user's", () => {
    const ranks = ["guest", "user", "vip", "moderator", "owner", "admin"].map(rank);
    assert.deepEqual(ranks, [...ranks].sort((a, b) => a - b));
    assert.equal(rank("helper"), rank("user"));
  });
});
