import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { expand } from "../src/messages.js";

const EVENT = { room: "r", epoch: "e", seq: 7 };
const line = (text, more) => ({ uid: "u", text, ts: 1, ...more });
const places = (messages) => messages.map(({ seq, text }) => [seq, text]);

describe("what a message leaves out", () => {
  test("is put back as it is usual", () => {
    const [message] = expand([{ uid: "ada", text: "hi", ts: 1700000000000 }], EVENT);
    assert.deepEqual(message, {
      room: "r",
      seq: 7,
      id: "e-7",
      uid: "ada",
      name: "ada",
      text: "hi",
      color: 0xffffff,
      mode: "scroll",
      size: 25,
      ts: 1700000000000,
      kind: undefined,
      avatar: undefined,
      level: undefined,
      badges: undefined,
      times: undefined,
      data: undefined,
    });
  });

  test("and what it says stands", () => {
    const chosen = { name: "Ada", color: 0, mode: "top", size: 36, kind: "gift" };
    const shown = { avatar: "https://a.example/7.png", level: 7, badges: ["fan"], times: 128,
      data: { a: 1 } };
    const [message] = expand([line("hi", { ...chosen, ...shown, seq: 9 })], EVENT);
    const place = { room: "r", seq: 9, id: "e-9", uid: "u", text: "hi", ts: 1 };
    assert.deepEqual(message, { ...place, ...chosen, ...shown });
  });

  test("a guest without a name is called by the last four characters of the uid", () => {
    const nameOf = (uid, more) => expand([line("", { uid, ...more })], EVENT)[0].name;
    assert.equal(nameOf("guest:1f-0042abcd"), "guest-abcd");
    assert.equal(nameOf("guest:1f-0042abcd", { name: "guest-7777" }), "guest-7777");
    assert.equal(nameOf("guests"), "guests");
  });

  test("a name that is empty is one", () => {
    assert.equal(expand([line("", { name: "" })], EVENT)[0].name, "");
  });

  test("all of them have one shape", () => {
    const messages = expand([line("a"), line("b", { kind: "gift", seq: 9, size: 12, name: "n" })], EVENT);
    assert.deepEqual(Object.keys(messages[0]), Object.keys(messages[1]));
  });

  test("the lean ones are left as they came", () => {
    const lean = Object.freeze([Object.freeze(line("a"))]);
    expand(lean, EVENT);
    assert.deepEqual(lean, [line("a")]);
  });
});

describe("numbers", () => {
  test("go up by one from the event's", () => {
    const lean = [line("a"), line("b"), line("c")];
    assert.deepEqual(places(expand(lean, EVENT)), [[7, "a"], [8, "b"], [9, "c"]]);
  });

  test("go on from a message that says its own", () => {
    const lean = [line("a"), line("b", { seq: 10 }), line("c"), line("d", { seq: 20 })];
    assert.deepEqual(places(expand(lean, EVENT)), [[7, "a"], [10, "b"], [11, "c"], [20, "d"]]);
  });

  test("may have their hole before the first", () => {
    assert.deepEqual(places(expand([line("a", { seq: 8 }), line("b")], EVENT)), [[8, "a"], [9, "b"]]);
  });

  test("of a history do not depend on where the room is", () => {
    const history = [line("a", { seq: 3 }), line("b"), line("c", { seq: 7 })];
    assert.deepEqual(places(expand(history, EVENT)), [[3, "a"], [4, "b"], [7, "c"]]);
  });

  test("of removed messages are passed over", () => {
    const lean = [{ seq: 7, removed: true }, line("b"), { seq: 9, removed: true }, line("d")];
    assert.deepEqual(places(expand(lean, EVENT)), [[8, "b"], [10, "d"]]);
  });

  test("seen before are left out, those the event's seq alone told of, too", () => {
    const lean = [line("a"), line("b"), line("c", { seq: 12 }), line("d")];
    assert.deepEqual(places(expand(lean, EVENT, 8)), [[12, "c"], [13, "d"]]);
    assert.deepEqual(expand(lean, EVENT, 13), []);
  });
});

test("nothing is nothing", () => {
  assert.deepEqual(expand([], EVENT), []);
});
