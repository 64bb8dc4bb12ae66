import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Lanes } from "../src/stage/lanes.js";
import { optional } from "./optional.js";

const WIDTH = 900;
const HEIGHTS = [23, 32, 46, 82];
const fc = (await optional("fast-check"))?.default;
const skip = fc ? false : "npm has not installed fast-check";

function stage() {
  const lanes = new Lanes();
  lanes.resize(WIDTH, 480);
  return lanes;
}

/** [left, right] of a flier at a time; null when it does not fly. It crosses the stage it started on. */
function extent({ start, duration, width, reverse, across }, now) {
  const part = (now - start) / duration;
  if (part < 0 || part >= 1) return null;
  const left = reverse ? -width + part * (across + width) : across - part * (across + width);
  return [left, left + width];
}

function overlap(one, other, now) {
  if (one.y >= other.y + other.height || other.y >= one.y + one.height) return false;
  const [here, there] = [extent(one, now), extent(other, now)];
  return Boolean(here && there && here[0] < there[1] && there[0] < here[1]);
}

/** Two that fly at constant speeds come nearest when one of them begins or ends. */
function overlapEver(one, other) {
  const begins = Math.max(one.start, other.start);
  const ends = Math.min(one.start + one.duration, other.start + other.duration);
  if (begins >= ends) return false;
  return overlap(one, other, begins) || overlap(one, other, ends - 0.01);
}

describe("lanes, whatever is offered", { skip }, () => {
  const flier = () => fc.record({
    after: fc.integer({ min: 0, max: 1500 }),
    width: fc.integer({ min: 20, max: 1400 }),
    height: fc.constantFrom(...HEIGHTS),
    duration: fc.integer({ min: 2500, max: 9500 }),
    gap: fc.integer({ min: 0, max: 300 }),
    reverse: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.boolean()),
    first: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.boolean()),
  });
  const size = () => fc.record({
    across: fc.integer({ min: 240, max: 2000 }), tall: fc.integer({ min: 60, max: 900 }),
  });

  function fly(lanes, steps) {
    const fliers = [];
    let now = 0;
    let across = WIDTH;
    for (const step of steps) {
      if ("tall" in step) {
        ({ across } = step);
        lanes.resize(across, step.tall);
        continue;
      }
      now += step.after;
      const y = lanes.fly(now, step);
      if (y >= 0) fliers.push({ ...step, y, start: now, across });
    }
    return fliers;
  }

  const hold = (fliers) => fliers.forEach((one, nth) => {
    for (const other of fliers.slice(nth + 1)) assert.ok(!overlapEver(one, other), JSON.stringify([one, other]));
  });

  test("no two fliers ever overlap", () => {
    fc.assert(fc.property(fc.array(flier(), { maxLength: 120 }), (steps) => hold(fly(stage(), steps))));
  });

  test("nor do they on a stage that changes its size under them", () => {
    const step = fc.oneof({ weight: 6, arbitrary: flier() }, size());
    fc.assert(fc.property(fc.array(step, { maxLength: 120 }), (steps) => hold(fly(stage(), steps))), { numRuns: 300 });
  });

  test("no two that stand at one edge overlap", () => {
    const text = fc.record({
      after: fc.integer({ min: 0, max: 2000 }), height: fc.constantFrom(...HEIGHTS),
      hold: fc.integer({ min: 500, max: 5000 }),
    });
    fc.assert(fc.property(fc.array(text, { maxLength: 80 }), fc.boolean(), (texts, bottom) => {
      const lanes = stage();
      const standing = [];
      let now = 0;
      for (const { after, height, hold } of texts) {
        now += after;
        const y = lanes.stand(now, { height, hold, bottom });
        if (y < 0) continue;
        for (const other of standing) {
          assert.ok(other.until <= now || y >= other.y + other.height || other.y >= y + height);
        }
        standing.push({ y, height, until: now + hold });
      }
    }));
  });
});

test("a full stage refuses", () => {
  const lanes = stage();
  const text = { width: 500, height: 32, duration: 8000 };
  let taken = 0;
  while (lanes.fly(0, text) >= 0) taken += 1;
  assert.equal(taken, 480 / 32);
});

test("a tall line that goes first is not kept out by small ones", () => {
  const lanes = stage();
  const small = { width: 300, height: 32, duration: 7500 };
  const tall = { width: 400, height: 60, duration: 7500, first: true };
  let waitedFrom;
  let flewAt;
  for (let now = 0; now < 20_000 && flewAt === undefined; now += 16) {
    if (now >= 5000) {
      waitedFrom ??= now;
      if (lanes.fly(now, tall) >= 0) flewAt = now;
    }
    for (let nth = 0; nth < 20; nth += 1) lanes.fly(now, small);
  }
  assert.ok(flewAt - waitedFrom < 3000, `it waited for ${flewAt - waitedFrom} ms`);
});

test("those in reverse are let in where others fly all the time", () => {
  const lanes = stage();
  const small = { width: 300, height: 32, duration: 7500 };
  let reverse = 0;
  for (let now = 0; now < 40_000; now += 16) {
    if (now > 5000 && lanes.fly(now, { ...small, reverse: true }) >= 0) reverse += 1;
    for (let nth = 0; nth < 20; nth += 1) lanes.fly(now, small);
  }
  assert.ok(reverse > 10, `${reverse}`);
});

test("what is cleared takes no place", () => {
  const lanes = stage();
  const text = { width: 500, height: 32, duration: 8000 };
  for (let nth = 0; nth < 40; nth += 1) {
    lanes.fly(0, text);
    lanes.stand(0, { height: 32, hold: 4500 });
  }
  lanes.clear();
  assert.equal(lanes.fly(1, text), 0);
  assert.equal(lanes.stand(1, { height: 32, hold: 4500 }), 0);
});

test("what stands keeps its place for its time, then gives it back", () => {
  const lanes = stage();
  const text = { height: 32, hold: 4500 };
  assert.deepEqual([lanes.stand(0, text), lanes.stand(0, text)], [0, 32]);
  assert.equal(lanes.stand(4500, text), 0);
});

test("top and bottom each have half the stage", () => {
  const lanes = stage();
  const text = { height: 32, hold: 4500 };
  const tops = Array.from({ length: 8 }, () => lanes.stand(0, text));
  assert.deepEqual(tops.slice(-2), [192, -1]);
  assert.equal(lanes.stand(0, { ...text, bottom: true }), 0);
});

test("a text taller than the stage still gets a place", () => {
  const lanes = new Lanes();
  lanes.resize(300, 40);
  assert.equal(lanes.fly(0, { width: 50, height: 90, duration: 5000 }), 0);
  assert.equal(lanes.stand(0, { height: 90, hold: 4000 }), 0);
});

test("a line that is taller than its stage keeps its place when that grows, and finds what was there", () => {
  const lanes = stage();
  lanes.resize(WIDTH, 60);
  assert.equal(lanes.fly(0, { width: 100, height: 82, duration: 5000 }), 0);
  lanes.resize(WIDTH, 84);
  assert.equal(lanes.fly(1, { width: 100, height: 23, duration: 5000 }), -1);
  lanes.clear();
  lanes.resize(WIDTH, 200);
  assert.equal(lanes.fly(0, { width: 100, height: 60, duration: 1000 }), 0);
  assert.equal(lanes.fly(0, { width: 100, height: 23, duration: 9000 }), 60);
  lanes.resize(WIDTH, 60);
  assert.equal(lanes.fly(1001, { width: 100, height: 82, duration: 5000 }), -1);
  assert.equal(lanes.fly(1001, { width: 100, height: 60, duration: 5000 }), 0);
});
