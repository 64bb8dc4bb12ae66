/* The tables of words: whole in every language, and nothing in the page that is not in them. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";

import { LANGUAGES } from "../i18n.js";

const FOLDER = new URL("../", import.meta.url);
const PAGE = readFileSync(new URL("index.html", FOLDER), "utf-8");
const SCRIPTS = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".js") && !name.startsWith("words."))
  .map((name) => [name, readFileSync(new URL(name, FOLDER), "utf-8")]);
const EN = LANGUAGES.en.words;
/* Keys that are put together: what stands before the part that varies. */
const FAMILIES = ["closed.", "left.", "refused.", "role.", "roles.", "color.", "rule.", "look.theme.", "chat."];

const forms = (text) => (typeof text === "object" ? Object.values(text) : [text]);
const places = (text) => new Set(forms(text).flatMap((form) => form.match(/\{\w+\}/gu) ?? []));

describe("the tables of words", () => {
  for (const [code, { tag, words }] of Object.entries(LANGUAGES)) {
    test(`${code} has every key, each with the same places`, () => {
      assert.deepEqual(Object.keys(words).sort(), Object.keys(EN).sort());
      for (const [key, text] of Object.entries(words)) {
        assert.deepEqual(places(text), places(EN[key]), key);
        for (const form of forms(text)) assert.ok(form.trim(), key);
      }
    });

    test(`${code} has the plurals of its language`, () => {
      const categories = new Intl.PluralRules(tag).resolvedOptions().pluralCategories;
      for (const [key, text] of Object.entries(words)) {
        if (typeof text === "object") assert.deepEqual(Object.keys(text).sort(), [...categories].sort(), key);
      }
    });
  }
});

describe("the page", () => {
  test("says what its language has, where a key is named", () => {
    const keys = [...PAGE.matchAll(/data-say(?:-\w+)?="([^"]+)"/gu)].map(([, key]) => key);
    assert.ok(keys.length > 30);
    for (const key of keys) assert.ok(Object.hasOwn(EN, key), key);
  });

  test("has in its source what it says in English", () => {
    for (const [, key, text] of PAGE.matchAll(/data-say="([^"]+)"[^>]*>([^<]+)</gu)) assert.equal(text, EN[key], key);
    const attributes = { title: "title", label: "aria-label", hint: "placeholder", content: "content" };
    for (const [tag, place, key] of PAGE.matchAll(/<[^<>]*data-say-(\w+)="([^"]+)"[^<>]*>/gu)) {
      const [, value] = new RegExp(`[\\s]${attributes[place]}="([^"]*)"`, "u").exec(tag);
      assert.equal(value, EN[key], key);
    }
  });

  test("has no text that is not translated", () => {
    const bare = PAGE
      .replace(/<!--[\s\S]*?-->|<noscript>[\s\S]*?<\/noscript>|<title>[^<]*<\/title>|<script[\s\S]*?<\/script>/gu, "")
      .replace(/<[^<>]*(?:data-say="|aria-hidden="true"|class="brand-name")[^<>]*>[^<]*/gu, "");
    assert.deepEqual(bare.match(/>[^<]*[\p{L}][^<]*</gu), null);
    for (const [tag] of PAGE.matchAll(/<[^<>]* (?:title|aria-label|placeholder)="[^<>]*>/gu)) assert.match(tag, /data-say-/u);
  });
});

describe("the scripts", () => {
  const named = SCRIPTS.flatMap(([file, text]) =>
    [...text.matchAll(/"([a-z]+(?:[.-][a-z]+)*)"/gu)].map(([, key]) => ({ file, key })));

  test("ask for keys that there are", () => {
    const stems = new Set(Object.keys(EN).map((key) => key.split(".", 1)[0]));
    const asked = named.filter(({ key }) => key.includes(".") && stems.has(key.split(".", 1)[0]));
    assert.ok(asked.length > 50);
    for (const { file, key } of asked) assert.ok(Object.hasOwn(EN, key), `${file}: ${key}`);
  });

  test("use every key there is", () => {
    const used = new Set(named.map(({ key }) => key));
    for (const [, key] of PAGE.matchAll(/data-say(?:-\w+)?="([^"]+)"/gu)) used.add(key);
    const unused = Object.keys(EN).filter((key) => !used.has(key) && !FAMILIES.some((family) => key.startsWith(family)));
    assert.deepEqual(unused, []);
  });
});
