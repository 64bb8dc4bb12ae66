import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { BEGINNING, OLDEST, pageBefore } from "../older.js";

/** A room of messages 1 to `newest`, of which those before `kept` are gone and some are hidden. */
function room({ kept = 1, hidden = () => false, asked = [] }) {
  return async ({ before, limit }) => {
    asked.push(before);
    const from = Math.max(kept, before - limit);
    const seqs = Array.from({ length: Math.max(0, before - from) }, (_, index) => from + index);
    const messages = seqs.filter((seq) => !hidden(seq)).map((seq) => ({ seq }));
    return { messages, first: messages.length ? seqs[0] : undefined, more: from > kept };
  };
}

async function all(ask, from) {
  const seqs = [];
  let page = { before: from, end: "" };
  for (let turn = 0; turn < 100 && !page.end; turn += 1) {
    page = await pageBefore(ask, page.before);
    seqs.unshift(...page.messages.map(({ seq }) => seq));
  }
  return { seqs, end: page.end };
}

describe("what was said before", () => {
  test("comes page by page, back to the beginning, each once", async () => {
    const { seqs, end } = await all(room({}), 351);
    assert.deepEqual(seqs, Array.from({ length: 350 }, (_, index) => index + 1));
    assert.equal(end, BEGINNING);
  });

  test("ends at the oldest that is kept", async () => {
    const { seqs, end } = await all(room({ kept: 40 }), 301);
    assert.equal(seqs[0], 40);
    assert.equal(end, OLDEST);
  });

  test("goes on over what was taken back, a bounded number of times", async () => {
    const asked = [];
    const hidden = (seq) => seq > 10 && seq < 900;
    const { messages, before } = await pageBefore(room({ hidden, asked }), 900);
    assert.deepEqual(messages.map(({ seq }) => seq), Array.from({ length: 10 }, (_, index) => index + 1));
    assert.equal(before, 1);
    assert.equal(asked.length, 9);
    const endless = await pageBefore(room({ hidden: () => true }), 9000);
    assert.deepEqual(endless, { messages: [], before: 7000, end: "" });
  });

  test("before the first there is nothing, and nobody is asked", async () => {
    const asked = [];
    assert.deepEqual(await pageBefore(room({ asked }), 1), { messages: [], before: 1, end: BEGINNING });
    assert.deepEqual(asked, []);
  });
});
