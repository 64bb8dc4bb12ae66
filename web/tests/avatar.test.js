import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { hueOf, initialOf, pictureAt } from "../avatar.js";

const PAGE = "http://chat.example:8000/live/?room=a";

describe("the address of a picture", () => {
  test("is asked by https, or at the page's own origin", () => {
    assert.equal(pictureAt("https://cdn.example/a.png", PAGE), "https://cdn.example/a.png");
    assert.equal(pictureAt("http://chat.example:8000/a.png", PAGE), "http://chat.example:8000/a.png");
    assert.equal(pictureAt("/a.png", PAGE), "http://chat.example:8000/a.png");
  });

  test("is not asked in any other way", () => {
    const unsafe = [
      "http://cdn.example/a.png", "javascript:alert(1)", "data:image/svg+xml,<svg/>", "blob:http://chat.example:8000/1",
      "ftp://chat.example/a", "https://u:p@cdn.example/a.png", "//cdn.example/a.png", "https://", "", undefined, null,
    ];
    for (const address of unsafe) assert.equal(pictureAt(address, PAGE), null, address);
  });
});

describe("an initial", () => {
  test("is the first character one would name", () => {
    assert.equal(initialOf("阿花"), "阿");
    assert.equal(initialOf("  _e\u0301va"), "e\u0301");
    assert.equal(initialOf("👩‍🚀 Ann"), "👩‍🚀");
    assert.equal(initialOf("---"), "·");
    assert.equal(initialOf(""), "·");
  });

  test("has the hue of who it is", () => {
    assert.equal(hueOf("u1"), hueOf("u1"));
    for (const key of ["", "u1", "阿花", "guest:4pkus34bfa8cfc37711b3"]) assert.ok(hueOf(key) >= 0 && hueOf(key) < 360);
  });
});
