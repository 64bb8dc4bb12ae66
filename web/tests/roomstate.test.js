import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { words } from "../i18n.js";
import { RoomState } from "../roomstate.js";

const NOW = 50_000;
const WALL = 1_764_000_000_000;
let room;

const kinds = (now = NOW) => room.lines(now).map(({ kind }) => kind);
const line = (kind, now = NOW) => room.lines(now).find((one) => one.kind === kind);

beforeEach(() => (room = new RoomState()));

describe("a room's rules", () => {
  test("without any there is nothing to say", () => {
    assert.deepEqual(kinds(), []);
    room.ruled({ slow_s: 0, silence: "none", no_repeats_s: 0, min_role: "guest", pinned: null, announcement: null });
    assert.deepEqual(kinds(), []);
  });

  test("are the last that was told, whole", () => {
    room.ruled({ announcement: "hi", silence: "all", pinned: { seq: 3, uid: "u", text: "look" } });
    assert.deepEqual(kinds(), ["announcement", "pinned", "silence"]);
    assert.equal(line("pinned").text, "u: look");
    assert.equal(room.pinned, 3);
    room.ruled({ min_role: "vip" });
    assert.match(words(...line("silence").say), /VIPs and above/);
    assert.equal(room.pinned, undefined);
    room.clear();
    assert.deepEqual(kinds(), []);
  });

  test("slow mode counts down after a message of one's own", () => {
    room.ruled({ slow_s: 90 });
    assert.equal(line("slow").seconds, undefined);
    room.spoke(NOW);
    assert.equal(line("slow", NOW + 500).seconds, 90);
    assert.equal(line("slow", NOW + 90_000).seconds, undefined);
    room.refused({ code: "slow_mode", retry_after: 12.4 }, NOW);
    assert.equal(line("slow").seconds, 13);
    room.ruled({ slow_s: 0 });
    assert.deepEqual(kinds(), []);
  });

  test("slow mode slows nobody from vip up", () => {
    room.ruled({ slow_s: 90 });
    room.role = "vip";
    room.spoke(NOW);
    assert.equal(line("slow").seconds, undefined);
  });

  test("a mute is told on joining, by the wall clock, and ends", () => {
    room.joined({ muted_until: WALL + 5000 }, NOW, WALL);
    assert.equal(line("muted").seconds, 5);
    assert.deepEqual(kinds(NOW + 5000), []);
    room.joined({ muted_until: 0 }, NOW, WALL);
    assert.equal(line("muted", NOW * 9).seconds, undefined);
    room.joined({}, NOW, WALL);
    assert.deepEqual(kinds(), []);
  });

  test("a mute is told when it is made, and when it is lifted", () => {
    room.muted(WALL + 5000, NOW, WALL);
    assert.equal(line("muted").seconds, 5);
    room.muted(0, NOW, WALL);
    assert.equal(line("muted", NOW * 9).seconds, undefined);
    room.muted(undefined, NOW, WALL);
    assert.deepEqual(kinds(), []);
  });

  test("a mute is told by a refusal, outlasts other rules, and ends with a message", () => {
    room.refused({ code: "muted", retry_after: 3 }, NOW);
    room.ruled({});
    assert.equal(line("muted").seconds, 3);
    room.refused({ code: "muted" }, NOW);
    assert.equal(line("muted").seconds, undefined);
    room.spoke(NOW);
    assert.deepEqual(kinds(), []);
  });

  test("who has too low a role is barred", () => {
    assert.ok(!room.barred);
    room.ruled({ min_role: "vip" });
    assert.ok(room.barred);
    room.role = "vip";
    assert.ok(!room.barred);
  });

  test("who may speak is said of roles that are not known, too", () => {
    room.ruled({ silence: "helper" });
    assert.match(words(...line("silence").say), /Only helper and above/);
  });

  test("how long one has to wait is the longer of a mute and slow mode", () => {
    assert.equal(room.wait(NOW), 0);
    room.ruled({ slow_s: 90 });
    room.spoke(NOW);
    assert.equal(room.wait(NOW + 500), 90);
    room.muted(WALL + 200_000, NOW, WALL);
    assert.equal(room.wait(NOW), 200);
    room.muted(0, NOW, WALL);
    assert.equal(room.wait(NOW), 90);
    assert.equal(room.wait(NOW + 90_000), 0);
  });
});
