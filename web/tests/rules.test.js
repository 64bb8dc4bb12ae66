/* How the page reads the rules it is served. These ones are made up, and short; that the server's own
 * mean the same here as there, tests/chat/policy/test_text.py asks. */

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { Rules, lengthOf, servedRules } from "../rules.js";

const SERVED = {
  room: "^(?=.*[^_])[\\p{L}\\p{M}_]+$", room_chars: 5, room_rule: "1 to 5 letters", text_chars: 10,
  dividing: "[\\p{Cc}]+", vanishing: "[\\p{Cs}\\u200B]+", surplus: "(\\p{M}{2})\\p{M}+", visible: "[^\\s\\u3164]",
};
const rules = new Rules(SERVED);

describe("rooms", () => {
  test("a name is judged by the served pattern, marks and all", () => {
    for (const name of ["a", "हिन्दी".slice(0, 5), "ห้อง", "e\u0301", "弹幕"]) {
      assert.equal(rules.allowsRoom(name), true, name);
    }
    for (const name of ["", "a b", "_", "a\n", "\ud83d"]) assert.equal(rules.allowsRoom(name), false, name);
  });

  test("its length is counted in characters", () => {
    assert.equal(rules.allowsRoom("𠮷".repeat(5)), true);
    assert.equal(rules.allowsRoom("𠮷".repeat(6)), false);
  });

  test("the limits of a name and of a text are the server's", () => {
    assert.equal(rules.roomChars, 5);
    assert.equal(rules.textChars, 10);
  });
});

describe("texts", () => {
  test("what divides is a space, what vanishes is gone, ends are trimmed", () => {
    assert.equal(rules.clean(" a\r\nb\u200bc\u3000"), "a bc");
  });

  test("half a character does not leave the page, a whole one does", () => {
    assert.equal(rules.clean("a\ud83d"), "a");
    assert.equal(rules.clean("\ude00\ud83d😀"), "😀");
  });

  test("surplus marks go, also those that something stood between", () => {
    assert.equal(rules.clean(`Z${"\u0310\u200b".repeat(9)}!`), "Z\u0310\u0310!");
  });

  test("where nothing can be seen there is no text", () => {
    for (const text of ["", " \n", "\u3164", "\ud83d"]) assert.equal(rules.clean(text), "");
  });

  test("an emoji is one character", () => {
    assert.equal(lengthOf("🎉🎉"), 2);
  });
});

describe("the page", () => {
  const page = (textContent) => {
    globalThis.document = { getElementById: (id) => (id === "rules" ? { textContent } : null) };
    return servedRules();
  };

  afterEach(() => delete globalThis.document);

  test("has the rules in a block of data", () => {
    assert.equal(page(JSON.stringify(SERVED)).allowsRoom("_"), false);
  });

  test("that nobody filled in lets everything be tried that can be sent", () => {
    const open = page("{{rules}}");
    assert.equal(open.allowsRoom("a b"), true);
    assert.equal(open.clean(" a\ud83d\n"), "a");
    assert.equal(lengthOf("x".repeat(9999)) > open.textChars, false);
  });
});
