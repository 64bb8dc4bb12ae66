import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { Likes } from "../src/likes.js";
import { settled } from "./world.js";

let due;
let sent;
let shown;
let likes;

beforeEach(() => {
  due = [];
  sent = [];
  shown = [];
  const env = {
    setTimeout: (run, ms) => due.push({ run, ms }),
    clearTimeout: (timer) => due.splice(timer - 1, 1),
  };
  likes = new Likes({
    send: (count) => new Promise((taken, refused) => sent.push({ count, taken, refused })),
    show: (total) => shown.push(total),
    env,
  });
});

const second = () => due.splice(0).forEach(({ run }) => run());
const tap = (times) => Array.from({ length: times }, () => likes.tap());

describe("tapping", () => {
  test("is shown at once and sent together after a second", () => {
    likes.enter(10);
    tap(3);
    assert.deepEqual(shown, [10, 11, 12, 13]);
    assert.deepEqual(due.map(({ ms }) => ms), [1000]);
    assert.equal(sent.length, 0);
    second();
    tap(1);
    second();
    assert.deepEqual(sent.map(({ count }) => count), [3, 1]);
  });

  test("goes to a hundred a second", () => {
    tap(150);
    second();
    assert.equal(shown.at(-1), 100);
    assert.deepEqual(sent.map(({ count }) => count), [100]);
  });

  test("what is not taken is shown no more", async () => {
    likes.enter(10);
    tap(2);
    second();
    sent[0].refused(new Error("rate_limited"));
    await settled();
    assert.equal(shown.at(-1), 10);
  });

  test("what is taken stays", async () => {
    likes.enter(10);
    tap(2);
    second();
    sent[0].taken();
    await settled();
    assert.equal(shown.at(-1), 12);
  });
});

describe("the room's sum", () => {
  test("takes over when it has one's own", () => {
    likes.enter(10);
    tap(2);
    second();
    likes.told(11); // another's, and ours are on their way
    assert.equal(shown.at(-1), 12);
    likes.told(13);
    assert.equal(shown.at(-1), 13);
  });

  test("is shown with what is not sent yet", () => {
    tap(2);
    likes.told(5);
    assert.equal(shown.at(-1), 7);
  });

  test("is another in another room, for which nothing was tapped", () => {
    likes.enter(10);
    tap(2);
    likes.leave();
    assert.equal(shown.at(-1), 0);
    second();
    assert.equal(sent.length, 0);
    likes.enter(3);
    tap(1);
    second();
    assert.equal(shown.at(-1), 4);
    assert.deepEqual(sent.map(({ count }) => count), [1]);
  });

  test("is what it is when one comes back, however small", () => {
    likes.enter(10);
    likes.enter(2);
    assert.equal(shown.at(-1), 2);
  });
});
