import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const WEB = new URL("../", import.meta.url);
/* How old a message of the history is, and when a mute ends, is told in wall time. */
const WALL_TIME_READ = { "app.js": 3 };

test("no interval is measured in wall time, which may be set back", () => {
  const found = {};
  for (const name of readdirSync(WEB).filter((each) => each.endsWith(".js"))) {
    const times = readFileSync(new URL(name, WEB), "utf8").match(/\bDate\.now\b|\bnew Date\(\)/g);
    if (times) found[name] = times.length;
  }
  assert.deepEqual(found, WALL_TIME_READ);
});
