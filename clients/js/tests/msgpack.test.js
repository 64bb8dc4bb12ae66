import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { MSGPACK } from "../src/msgpack.js";
import { optional } from "./optional.js";

const reference = await optional("@msgpack/msgpack");
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16)).buffer;
const hexOf = (written) => Buffer.from(written).toString("hex");

/** Values of all kinds, and of each size at which the writing changes. */
const SIZES = [0, 1, 15, 16, 31, 32, 127, 128, 255, 256, 65_535, 65_536];
const NUMBERS = [
  ...SIZES, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32, -33, -128, -129, -32_768, -32_769,
  -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1, 0.5, -1.25, 1e300,
];
const VALUES = [
  null, true, false, "", "弹幕 🎉", { "": {} }, [[[]]], ...NUMBERS,
  ...SIZES.map((size) => "x".repeat(size)),
  ...SIZES.filter((size) => size <= 256).map((size) => Array(size).fill(7)),
  ...[0, 1, 15, 16, 300].map((size) => Object.fromEntries(Array.from({ length: size }, (_, nth) => [`k${nth}`, nth]))),
];

describe("what is written", () => {
  test("is a command as the wire has it, without what is absent", () => {
    assert.equal(hexOf(MSGPACK.encode({ t: "ping", ref: 1, since: undefined })), "82a174a470696e67a372656601");
  });

  test("is what others read", { skip: !reference && "npm has not installed @msgpack/msgpack" }, () => {
    for (const value of VALUES) {
      assert.deepEqual(reference.decode(MSGPACK.encode({ t: "t", value })), { t: "t", value });
    }
  });
});

describe("what is read", () => {
  test("is what was written", () => {
    for (const value of VALUES) {
      const written = MSGPACK.encode([{ value }]);
      assert.deepEqual(MSGPACK.decode(written.buffer), [{ value }]);
    }
  });

  test("is what others write", { skip: !reference && "npm has not installed @msgpack/msgpack" }, () => {
    for (const value of VALUES) {
      const written = Uint8Array.from(reference.encode([{ t: "t", value }]));
      assert.deepEqual(MSGPACK.decode(written.buffer), [{ t: "t", value }]);
    }
  });

  test("may be written longer than it must be", () => {
    const long = "dd0000000a" + "d0ff" + "d1ffff" + "d2ffffffff" + "d3ffffffffffffffff" + "cc01" + "cd0001"
      + "ce00000001" + "cf0000000000000001" + "ca3fc00000" + "db00000001" + "61";
    assert.deepEqual(MSGPACK.decode(bytes(long)), [-1, -1, -1, -1, 1, 1, 1, 1, 1.5, "a"]);
  });

  test("has no field that changes what it is", () => {
    const [event] = MSGPACK.decode(bytes("91" + "81" + "a95f5f70726f746f5f5f" + "81a16101"));
    assert.equal(event.a, undefined);
    assert.deepEqual(Object.keys(event), ["__proto__"]);
  });

  test("is refused where it is cut, goes on, is too deep, or is not of JSON", () => {
    const whole = hexOf(MSGPACK.encode([{ t: "msgs", m: [{ text: "弹幕", ts: 2 ** 41 }], data: 0.5 }]));
    for (let end = 0; end < whole.length; end += 2) {
      assert.throws(() => MSGPACK.decode(bytes(whole.slice(0, end))), `${end} of ${whole.length}`);
    }
    const refused = ["90" + "00", "91".repeat(100) + "c0", "80", "c0", "91c1", "91c40100", "91d40100", "9181c0c0", "91a1ff"];
    for (const one of refused) assert.throws(() => MSGPACK.decode(bytes(one)), one);
    assert.throws(() => MSGPACK.decode("[]"));
  });
});
