import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { rank, roleIn, roomsOf } from "../roles.js";

const tokenOf = (claims) => `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;

describe("roles", () => {
  test("stand in order, and an unknown one is a user's", () => {
    const ranks = ["guest", "user", "vip", "moderator", "owner", "admin"].map(rank);
    assert.deepEqual(ranks, [...ranks].sort((a, b) => a - b));
    assert.equal(rank("helper"), rank("user"));
  });

  test("the highest of those that cover a room counts", () => {
    const rooms = { "live:*": "vip", "live:1": "moderator", "live:12": "admin" };
    assert.equal(roleIn("user", rooms, "live:1"), "moderator");
    assert.equal(roleIn("user", rooms, "live:2"), "vip");
    assert.equal(roleIn("owner", rooms, "live:1"), "owner");
    assert.equal(roleIn("user", rooms, "lobby"), "user");
  });

  test("are read from a token, also where its texts are not ASCII", () => {
    assert.deepEqual(roomsOf(tokenOf({ name: "阿花>>>???", rooms: { "弹:*": "vip" } })), { "弹:*": "vip" });
    for (const odd of ["", "x", "a.b.c", "a.%.c", tokenOf({}), tokenOf({ rooms: "all" }), tokenOf(null)]) {
      assert.deepEqual(roomsOf(odd), {}, odd);
    }
  });
});
