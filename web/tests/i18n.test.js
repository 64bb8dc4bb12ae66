import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { LANGUAGES, knows, languageFor, setLanguage, words } from "../i18n.js";

afterEach(() => setLanguage("en"));

describe("the language", () => {
  test("is the first asked for that there is", () => {
    assert.equal(languageFor(null, undefined, ["zh-TW", "en"]), "zh");
    assert.equal(languageFor("ZH_hans", "en", ["en"]), "zh");
    assert.equal(languageFor("xx", "en", ["zh"]), "en");
    assert.equal(languageFor(null, 7, ["fr", "de"]), "en");
    assert.equal(languageFor("constructor"), "en");
  });

  test("has a tag that Intl knows", () => {
    for (const { tag } of Object.values(LANGUAGES)) assert.equal(new Intl.NumberFormat(tag).resolvedOptions().locale, tag);
  });
});

describe("words", () => {
  const said = (code, ...what) => {
    setLanguage(code);
    return words(...what);
  };

  test("have plurals", () => {
    assert.equal(said("en", "missed", { count: 1 }), "1 message was missed");
    assert.equal(said("en", "missed", { count: 1234 }), "1,234 messages were missed");
    assert.equal(said("zh", "missed", { count: 1 }), "错过了 1 条消息");
  });

  test("have durations in the largest whole unit, short or long", () => {
    const slow = (code, seconds) => said(code, "rule.slow", { time: { seconds } });
    assert.match(slow("en", 90), /every 90 sec\.$/);
    assert.match(slow("en", 120), /every 2 min\.$/);
    assert.match(slow("en", 7200), /every 2 hr\.$/);
    assert.match(slow("zh", 600), /每10分钟/);
    assert.equal(said("en", "menu.mute", { time: { seconds: 3600, long: true } }), "Mute for 1 hour");
    assert.equal(said("en", "connection.in", { time: { seconds: 0.5 } }), " in 0.5 sec");
  });

  test("have lists and words within words", () => {
    const who = ["a", "b", { key: "came.more", count: 3 }];
    assert.equal(said("en", "came", { who }), "a, b, and 3 more came in");
    assert.equal(said("zh", "came", { who }), "a、b和另外 3 人进来了");
  });

  test("hold what people are called as it is", () => {
    assert.equal(said("en", "menu.of", { name: "{name} $& <b>" }), "Message of {name} $& <b>");
  });

  test("are known or not", () => {
    assert.ok(knows("closed.4504"));
    assert.ok(!knows("closed.1006"));
    assert.ok(!knows("toString"));
  });
});
