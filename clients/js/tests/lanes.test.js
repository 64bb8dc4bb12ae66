import assert from "node:assert/strict";
import { test } from "node:test";

import { Lanes } from "../src/stage/lanes.js";

const WIDTH = 900;

function stage() {
  const lanes = new Lanes();
  lanes.resize(WIDTH, 480);
  return lanes;
}

/** [left, right] of a flier at a time; null when it is not on the stage. */
function extent({ start, duration, width, reverse }, now) {
  const part = (now - start) / duration;
  if (part < 0 || part >= 1) return null;
  const left = reverse ? -width + part * (WIDTH + width) : WIDTH - part * (WIDTH + width);
  return [left, left + width];
}

function overlap(one, other, now) {
  if (one.y >= other.y + other.height || other.y >= one.y + one.height) return false;
  const [here, there] = [extent(one, now), extent(other, now)];
  return Boolean(here && there && here[0] < there[1] && there[0] < here[1]);
}

function dice(seed) {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

test("whatever is offered, no two fliers ever overlap", () => {
  const random = dice(7);
  const lanes = stage();
  const fliers = [];
  for (let now = 0; now < 48_000; now += 20) {
    const width = 20 + random() * 1200;
    const height = [23, 32, 46, 82][Math.floor(random() * 4)];
    const reverse = now % 24_000 > 10_000 && random() < 0.3; // in spells, so both meet in one row
    const flier = { width, height, duration: 6000 + random() * 3000, reverse, start: now };
    flier.y = lanes.fly(now, flier);
    if (flier.y >= 0) fliers.push(flier);
  }
  assert.ok(fliers.length > 100, `only ${fliers.length} flew`);
  assert.ok(fliers.some(({ reverse }) => reverse), "none flew in reverse");
  for (let now = 0; now < 60_000; now += 250) {
    const present = fliers.filter((flier) => extent(flier, now));
    present.forEach((one, nth) => {
      for (const other of present.slice(nth + 1)) assert.ok(!overlap(one, other, now));
    });
  }
});

test("a full stage refuses, and takes one by force", () => {
  const lanes = stage();
  const text = { width: 500, height: 32, duration: 8000 };
  let taken = 0;
  while (lanes.fly(0, text) >= 0) taken += 1;
  assert.equal(taken, 480 / 32);
  assert.ok(lanes.fly(0, { ...text, force: true }) >= 0);
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
