import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { FIRST_MS, MOST, Queue } from "../src/stage/queue.js";
import { optional } from "./optional.js";

const fc = (await optional("fast-check"))?.default;
const skip = fc ? false : "npm has not installed fast-check";

describe("what waits, whatever is offered and however rarely it is served", { skip }, () => {
  const step = () => fc.record({
    after: fc.integer({ min: 0, max: 3000 }),
    offered: fc.array(fc.boolean(), { maxLength: 40 }), // whether each goes first
    free: fc.integer({ min: 0, max: 12 }),
  });

  test("is placed in time, or left out and counted, and first is who goes first", () => {
    fc.assert(fc.property(fc.array(step(), { maxLength: 40 }), fc.integer({ min: 0, max: 5000 }), (steps, patience) => {
      const queue = new Queue();
      queue.patience = patience;
      let [now, offered, left, placed] = [0, 0, 0, 0];
      for (const { after, offered: some, free } of steps) {
        now += after;
        for (const first of some) left += queue.add({ first, at: now, nth: (offered += 1) });
        let places = free;
        let last = { first: true, nth: 0 };
        left += queue.serve(now, (item) => {
          assert.ok(now - item.at <= (item.first ? Math.max(FIRST_MS, patience) : patience), "it waited for too long");
          assert.ok(item.first ? last.first : true, "others were asked before one that goes first");
          assert.ok(item.first !== last.first || item.nth > last.nth, "who came later was asked before");
          last = item;
          placed += 1;
          return places-- > 0 || (placed -= 1, false);
        });
        assert.ok(queue.size <= MOST);
        assert.equal(offered, placed + left + queue.size);
      }
      now += FIRST_MS + patience + 1;
      left += queue.serve(now, () => assert.fail("it waited for too long"));
      assert.equal(offered, placed + left);
    }));
  });
});

test("who goes first is not left out for others", () => {
  const queue = new Queue();
  for (let nth = 0; nth < 30; nth += 1) queue.add({ first: true, at: 0 });
  for (let nth = 0; nth < 2 * MOST; nth += 1) queue.add({ first: false, at: 0 });
  let first = 0;
  for (let frame = 0; frame < 20; frame += 1) queue.serve(1, (item) => (first += item.first, true));
  assert.equal(first, 30);
});

test("who is meant waits no more", () => {
  const queue = new Queue();
  for (const text of ["a", "b"]) for (const first of [true, false]) queue.add({ first, at: 0, text });
  queue.remove(({ text }) => text === "a");
  assert.deepEqual(queue.items.map(({ text }) => text), ["b", "b"]);
});
