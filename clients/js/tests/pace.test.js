import assert from "node:assert/strict";
import { test } from "node:test";

import { Lanes } from "../src/stage/lanes.js";
import { Pace } from "../src/stage/pace.js";
import { Queue } from "../src/stage/queue.js";

/** Lines of `px` wide and `high` px high, so many a second, at random moments of each; the share that flew. */
function flown(perSecond, px, { across, tall, high = 32 }) {
  const [queue, lanes, pace] = [new Queue(), new Lanes(), new Pace()];
  lanes.resize(across, tall);
  let state = 7;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  let [offered, left] = [0, 0];
  for (let now = 0; now < 120_000; now += 16) {
    while (offered < ((now - 16) / 1000) * perSecond) {
      left += queue.add({ first: false, at: now, width: px * (0.5 + random()) });
      offered += 1;
    }
    pace.hurry(now, queue.pressure(now));
    left += queue.serve(now, ({ width }) =>
      lanes.fly(now, { width, height: high, duration: pace.duration(width, across) }) >= 0);
  }
  return (offered - left) / offered;
}

test("fifteen lines a second of eight characters all fly on a stage of 960 by 540", () => {
  assert.equal(flown(15, 200, { across: 960, tall: 540 }), 1);
});

test("twenty-two do on one of 1920 by 1080, in letters half as large again", () => {
  assert.equal(flown(22, 300, { across: 1920, tall: 1080, high: 48 }), 1);
});

test("of fifty as many fly as there is room for", () => {
  const share = flown(50, 200, { across: 960, tall: 540 });
  assert.ok(share > 0.3 && share < 0.5, `${share}`);
});

test("new ones are faster while others wait, and as fast as before when none does", () => {
  const pace = new Pace();
  const usual = pace.duration(200, 900);
  for (let now = 0; now < 30_000; now += 16) pace.hurry(now, 1);
  assert.ok(pace.duration(200, 900) < usual / 1.7);
  for (let now = 30_000; now < 90_000; now += 16) pace.hurry(now, 0);
  assert.ok(Math.abs(pace.duration(200, 900) - usual) < 1);
  pace.speed = 2;
  assert.ok(Math.abs(pace.duration(200, 900) - usual / 2) < 1);
});
