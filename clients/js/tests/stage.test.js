/* What is pure of the stage beside its lanes, its queue and its pace: small parts of a few lines each. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { actionsFor } from "../src/stage/actions.js";
import { Clock } from "../src/stage/clock.js";
import { cssColor, isDark } from "../src/stage/color.js";
import { blocks } from "../src/stage/filters.js";
import { lineOf } from "../src/stage/line.js";
import { looked } from "../src/stage/look.js";
import { Tally } from "../src/stage/tally.js";
import { LANGUAGES, wordsFor } from "../src/stage/words.js";

const said = (more) => ({
  room: "r", seq: 7, id: "e-1-7", uid: "u7", name: "阿花", text: "hi", color: 0xffffff, mode: "scroll", size: 25, ts: 1,
  ...more,
});

describe("the clock", () => {
  test("goes at the rate it was turned to, and stands at 0", () => {
    const clock = new Clock();
    assert.equal(clock.at(100), 100);
    clock.turn(100, 0);
    assert.equal(clock.at(5000), 100);
    clock.turn(5000, 2);
    assert.equal(clock.at(5010), 120);
  });
});

describe("the tally", () => {
  test("has the share of the last ten seconds, and sums of all", () => {
    const tally = new Tally();
    for (let nth = 0; nth < 3; nth += 1) tally.flew(500);
    tally.leave(900, 1);
    assert.equal(tally.share(1000), 0.25);
    assert.equal(tally.share(9999), 0.25);
    assert.equal(tally.share(10_000), 0, "it is long ago");
    tally.leave(1e9, 2);
    assert.equal(tally.share(1e9), 1);
    assert.deepEqual([tally.flown, tally.left_out], [3, 3]);
  });
});

describe("filters", () => {
  test("are of words, in any case and width, of modes and of users", () => {
    const blocked = blocks({ words: ["Spoiler", /\d{5}/g], modes: ["top"], users: ["bad"] });
    assert.ok(blocked(said({ text: "a ＳＰＯＩＬＥＲ here" })));
    for (let again = 0; again < 2; again += 1) assert.ok(blocked(said({ text: "call 12345" })), "a g keeps no place");
    assert.ok(blocked(said({ mode: "top" })));
    assert.ok(blocked(said({ uid: "bad" })));
    assert.ok(!blocked(said({ text: "fine 123" })));
    assert.ok(!blocks({ words: [""] })(said()), "no word is in everything");
  });

  test("that are none are thrown back", () => {
    const wrongs = [{ word: [] }, { words: "spoiler" }, { users: null }, { words: [1] }];
    for (const wrong of wrongs) assert.throws(() => blocks(wrong), { code: "bad_option" });
  });
});

describe("the look", () => {
  test("is brought within bounds, and kept where nothing is said", () => {
    const look = looked({ opacity: 7, speed: 0, area: undefined });
    assert.deepEqual([look.opacity, look.speed, look.area], [1, 0.25, 1]);
    assert.equal(looked({ size: 2 }, look).speed, 0.25);
  });

  test("knows its names, and numbers from others", () => {
    for (const wrong of [{ opactiy: 1 }, { opacity: "1" }, { size: NaN }, { still: "maybe" }, { toString: 1 }]) {
      assert.throws(() => looked(wrong), { code: "bad_option" });
    }
  });
});

describe("a line", () => {
  test("has the message's look; one's own and what has a kind go first", () => {
    const look = (message, own = false) => {
      const { look, first, who, kind } = lineOf(said(message), own);
      return [look, first, who, kind];
    };
    assert.deepEqual(look({}), ["plain", false, "", "chat"]);
    assert.deepEqual(look({ mode: "bottom" }), ["fixed", false, "", "chat"]);
    assert.deepEqual(look({}, true), ["own", true, "", "chat"]);
    assert.deepEqual(look({ kind: "superchat" }), ["house", true, "阿花 ", "superchat"]);
    assert.deepEqual(look({ kind: "system" }), ["house", true, "", "system"]);
  });

  test("passes over a kind and a mode that nobody knows", () => {
    const { kind, first, mode } = lineOf(said({ kind: "hologram", mode: "spiral" }), false);
    assert.deepEqual([kind, first, mode], ["chat", false, "scroll"]);
  });

  test("is one line, cut between characters, with how many said it", () => {
    assert.equal(lineOf(said({ text: "a\n b" }), false).text, "a b");
    assert.equal(lineOf(said({ text: "🎉".repeat(101) }), false).text, `${"🎉".repeat(100)}…`);
    assert.equal(lineOf(said({ text: "666", times: 128 }), false).text, "666 × 128");
  });
});

describe("colours", () => {
  test("are six digits, and dark ones are told", () => {
    assert.equal(cssColor(0xff), "#0000ff");
    assert.deepEqual([0, 0x000080, 0xff0000, 0xffffff].map(isDark), [true, true, false, false]);
  });
});

describe("what may be done", () => {
  const words = wordsFor("en");
  const labels = (message, viewer) => actionsFor(message, { own: false, role: "guest", words, ...viewer }).map(({ label }) => label);

  test("is by rank, and not to oneself nor to the house", () => {
    assert.deepEqual(labels(said(), {}), ["Copy", "Hide 阿花", "Report"]);
    assert.deepEqual(labels(said(), { own: true }), ["Copy"]);
    assert.deepEqual(labels(said({ uid: "system" }), {}), ["Copy", "Report"]);
    const moderator = labels(said(), { role: "moderator" });
    assert.deepEqual(moderator.slice(3), ["Delete", "Mute 阿花 for 10 minutes", "Ban 阿花"]);
    assert.deepEqual(labels(said({ uid: "", seq: undefined, id: undefined }), { role: "admin" }), ["Copy"]);
  });

  test("names a message by its place", () => {
    const { command } = actionsFor(said(), { own: false, role: "user", words }).at(-1);
    assert.deepEqual(command, { t: "report", seq: 7, epoch: "e-1" });
  });
});

describe("words", () => {
  test("are the same in every language, and the first that is asked for", () => {
    const [en, ...others] = Object.values(LANGUAGES).map((words) => Object.keys(words).sort());
    for (const other of others) assert.deepEqual(other, en);
    assert.equal(wordsFor(undefined, "", "zh-Hant-TW"), LANGUAGES.zh);
    assert.equal(wordsFor("en", "zh"), LANGUAGES.en);
    assert.equal(wordsFor("tlh"), LANGUAGES.en);
  });
});
