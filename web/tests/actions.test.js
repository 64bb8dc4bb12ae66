import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { actionsFor } from "../actions.js";
import { words } from "../i18n.js";

const MESSAGE = { seq: 7, epoch: "e", uid: "u7", name: "阿花" };
const may = (more) => ({ own: false, role: "moderator", pinned: undefined, ...more });
const names = (actions) => actions.map(({ command }) => command.action ?? command.t);
const find = (actions, label) => actions.find((action) => words(...action.label) === label).command;

describe("what may be done about a message", () => {
  test("below a moderator: a report", () => {
    for (const role of ["guest", "user", "vip", "helper"]) {
      const actions = actionsFor(MESSAGE, may({ role }));
      assert.deepEqual(actions.map(({ command }) => command), [{ t: "report", seq: 7, epoch: "e" }]);
    }
  });

  test("from a moderator up: the message and whoever said it", () => {
    for (const role of ["moderator", "owner", "admin"]) {
      const mutes = ["mute", "mute", "mute", "mute", "unmute"];
      const all = ["delete", "settings", "clear", ...mutes, "kick", "ban", "unban", "report"];
      assert.deepEqual(names(actionsFor(MESSAGE, may({ role }))), all);
    }
  });

  test("for so many seconds, or for good", () => {
    const actions = actionsFor(MESSAGE, may());
    assert.equal(find(actions, "Mute for 10 minutes").seconds, 600);
    assert.equal(find(actions, "Mute for good").seconds, undefined);
  });

  test("each is told in words, with the name", () => {
    const told = actionsFor(MESSAGE, may()).map((action) => words(...action.told));
    assert.ok(told.includes("阿花 is muted for 10 minutes."));
    assert.ok(told.includes("阿花 is muted for good."));
  });

  test("what is pinned is unpinned", () => {
    assert.equal(find(actionsFor(MESSAGE, may()), "Pin").pinned, 7);
    assert.equal(find(actionsFor(MESSAGE, may({ pinned: 7 })), "Unpin").pinned, null);
  });

  test("nobody acts on themselves or on the house, nor on what has no number", () => {
    assert.deepEqual(names(actionsFor(MESSAGE, may({ own: true }))), ["delete", "settings"]);
    assert.deepEqual(actionsFor(MESSAGE, may({ own: true, role: "guest" })), []);
    const house = names(actionsFor({ ...MESSAGE, uid: "system" }, may()));
    assert.deepEqual(house, ["delete", "settings", "report"]);
    assert.ok(!names(actionsFor({ ...MESSAGE, seq: undefined }, may())).includes("delete"));
  });
});
