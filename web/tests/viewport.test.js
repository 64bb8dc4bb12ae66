import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { usable } from "../viewport.js";

describe("what of the window can be used", () => {
  test("all of it, or what the keyboard leaves", () => {
    assert.equal(usable({ height: 390, offsetTop: 0, scale: 1 }, 390), null);
    assert.equal(usable({ height: 389.6, offsetTop: 0, scale: 1 }, 390), null);
    assert.deepEqual(usable({ height: 164.4, offsetTop: 22.7, scale: 1 }, 390), { height: 164, top: 23 });
  });

  test("a pinch covers nothing", () => {
    assert.equal(usable({ height: 195, offsetTop: 100, scale: 2 }, 390), null);
  });
});
