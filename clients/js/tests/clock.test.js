import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const SRC = new URL("../src/", import.meta.url);

test("wall time, which may be set back, is read nowhere", () => {
  const names = readdirSync(SRC).filter((name) => name.endsWith(".js"));
  assert.ok(names.length > 10);
  for (const name of names) {
    assert.doesNotMatch(readFileSync(new URL(name, SRC), "utf8"), /\bDate\b/, name);
  }
});

test("clocks, sockets and timers are taken from the world in one file only", () => {
  for (const name of readdirSync(SRC).filter((each) => each.endsWith(".js") && each !== "env.js")) {
    const code = readFileSync(new URL(name, SRC), "utf8").replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
    assert.doesNotMatch(code, /\bperformance\b|\bnew WebSocket\b|(?<![.#\w])(?:set|clear)Timeout\(/, name);
  }
});
