import assert from "node:assert/strict";
import { test } from "node:test";

import { Rooms } from "../src/rooms.js";

const names = ({ rooms }) => rooms.map(({ name }) => name);

test("each room gets its turn, however many there are, and none gets two", () => {
  const rooms = new Rooms();
  for (let nth = 0; nth < 50; nth += 1) rooms.follow(`r${nth}`, false);
  rooms.welcomed();
  const asked = [];
  let now = 0;
  while (asked.length < 50) {
    const { rooms: due, next } = rooms.due(now);
    assert.equal(next, Infinity);
    assert.ok(due.length > 0 && due.length <= 5);
    for (const room of due) {
      asked.push(room.name);
      room.join(asked.length, now);
    }
    const [first] = due;
    assert.equal(rooms.asked(asked.indexOf(first.name) + 1), first);
    for (const room of due) room.refused(undefined);
    now += 1;
  }
  assert.equal(new Set(asked).size, 50);
  assert.equal(rooms.joining, false);
});

test("a name that no server takes is refused, and never asked for", () => {
  const rooms = new Rooms();
  for (const name of ["x".repeat(17_000), "\n".repeat(9_000), "幕".repeat(6_000)]) {
    assert.throws(() => rooms.follow(name, true), { name: "DanmakuError", code: "bad_request" });
    assert.equal(rooms.get(name), undefined);
  }
  rooms.follow("x".repeat(1_000), true); // the server says what is wrong with that
  assert.equal(rooms.due(0).rooms.length, 1);
});

test("who has to wait is told of, the soonest first", () => {
  const rooms = new Rooms();
  for (const name of ["a", "b", "c"]) rooms.follow(name, true);
  const [a, b, c] = rooms.due(0).rooms;
  a.refused(700, () => 0);
  b.refused(300, () => 0);
  assert.deepEqual([names(rooms.due(0)), rooms.due(0).next], [["c"], 300]);
  c.join(1, 0);
  rooms.hold(500);
  assert.deepEqual([names(rooms.due(400)), rooms.due(400).next], [[], 500]);
  assert.deepEqual(names(rooms.due(500)), ["b"]);
});
