import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";

import { Api, Away, Refused, isKey, path } from "../console/api.js";
import { bodyOf } from "../console/broadcast.js";
import { Evening } from "../console/evening.js";
import { EventReader } from "../console/events.js";
import { Live } from "../console/live.js";
import { order, whom } from "../console/moderation.js";
import { worded } from "../console/refusals.js";
import { changes } from "../console/room.js";
import { sanction, placeOf, why } from "../console/sanctions.js";
import { Series, points, summed, told, toldBytes } from "../console/series.js";
import { merged } from "../console/wordlists.js";
import { TEXTS, speak, t } from "../console/texts.js";

const FOLDER = new URL("../console/", import.meta.url);
const MODULES = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
const source = (name) => readFileSync(new URL(name, FOLDER), "utf8");

/** A tab's memory. */
function storage(kept = {}) {
  return {
    kept,
    getItem: (name) => kept[name] ?? null,
    setItem: (name, value) => (kept[name] = value),
    removeItem: (name) => delete kept[name],
  };
}

const answer = (status, body) => new Response(JSON.stringify(body), { status });

describe("events out of pieces", () => {
  const TEXT = 'event: a\ndata: {"x":"é\\n"}\n\nevent: b\ndata: [1]\n\n: nothing\n\n';

  test("are the same however they were cut", () => {
    for (let i = 0; i <= TEXT.length; i++) {
      for (let j = i; j <= TEXT.length; j++) {
        const reader = new EventReader();
        const parts = [TEXT.slice(0, i), TEXT.slice(i, j), TEXT.slice(j)];
        const found = parts.flatMap((part) => reader.read(part));
        assert.deepEqual(found, [["a", { x: "é\n" }], ["b", [1]]]);
      }
    }
  });

  test("one that does not end is given up, and one that is no JSON", () => {
    assert.throws(() => new EventReader().read("x".repeat(9 * 1024 * 1024)), /does not end/);
    assert.throws(() => new EventReader().read("event: a\ndata: {\n\n"), SyntaxError);
  });
});

describe("the API", () => {
  test("is beside the console, wherever that is, and the key is in a header only", async () => {
    const asked = [];
    const fetch = async (url, options) => {
      asked.push([String(url), options]);
      return answer(200, { ok: 1 });
    };
    const kept = storage();
    const api = new Api({ href: "https://a.example:8443/chat/console?x#rooms" }, kept, fetch);
    api.keep("secret");
    assert.deepEqual(await api.call("PUT", `mutes/${path("a/b")}`, {}), { ok: 1 });
    const [[url, options]] = asked;
    assert.equal(url, "https://a.example:8443/chat/v1/mutes/a%2Fb");
    assert.equal(options.headers.Authorization, "Bearer secret");
    assert.equal(options.redirect, "error");
    assert.deepEqual(Object.values(kept.kept), ["secret"]);
    assert.equal(new Api({ href: "http://a/console" }, kept, fetch).key, "secret");
    api.keep("");
    assert.deepEqual(kept.kept, {});
  });

  test("a refusal has its words and fields; nobody there is another matter", async () => {
    const problems = [{ path: "text", message: "empty" }];
    const error = { code: "bad_request", message: "not valid", problems, retry_after: 2 };
    const at = { href: "http://a/console" };
    const refused = await new Api(at, storage(), async () => answer(400, { error })).get("x").catch((one) => one);
    assert.ok(refused instanceof Refused);
    assert.deepEqual([refused.status, refused.code, refused.problems, refused.retryAfter], [400, "bad_request", problems, 2]);
    const plain = await new Api(at, storage(), async () => new Response("<html>", { status: 502 })).get("x").catch((one) => one);
    assert.equal(plain.message, "HTTP 502");
    const away = new Api(at, storage(), async () => { throw new TypeError("failed to fetch"); });
    await assert.rejects(away.get("x"), Away);
    await assert.rejects(new Api(at, storage(), async () => new Response("{")).get("x"), Away);
  });

  test("where the browser keeps nothing it works all the same", () => {
    const forbidden = { getItem() { throw new Error("no"); }, setItem() { throw new Error("no"); } };
    const api = new Api({ href: "http://a/console" }, forbidden, () => {});
    api.keep("x");
    assert.equal(api.key, "x");
  });

  test("a key is what can stand in a header", () => {
    assert.ok(isKey("abc-123~"));
    for (const bad of ["", "a b", "钥匙", "a\n"]) assert.ok(!isKey(bad));
  });
});

describe("a live stream", () => {
  /** An API that answers each opening with the next of these; what was heard and said. */
  function follow(answers) {
    const told = [];
    const heard = [];
    let done;
    const over = new Promise((resolve) => (done = resolve));
    const api = {
      async open() {
        const next = answers.shift();
        if (!next) {
          live.close();
          done();
          throw new Away("closed");
        }
        if (next instanceof Error) throw next;
        return { body: new Blob([next]).stream() };
      },
    };
    const live = new Live(api, "live", {
      heard: (name, data) => heard.push([name, data]),
      changed: ({ state }) => {
        told.push(state);
        if (state === "refused") done();
      },
    });
    return { told, heard, over };
  }

  test("comes back by itself, whatever ended it", async () => {
    const { told, heard, over } = follow([
      "event: a\ndata: 1\n\n", new Away("cut"), "event: b\ndata: 2\n\nevent: c", "event: d\ndata: {\n\n",
    ]);
    await over;
    assert.deepEqual(heard, [["a", 1], ["b", 2]]);
    assert.deepEqual(told.slice(0, 6), ["connecting", "open", "waiting", "connecting", "waiting", "connecting"]);
  });

  test("is over when the key is none, and not when there are too many", async () => {
    const { told, over } = follow([new Refused(503, { retry_after: 0 }), new Refused(401)]);
    await over;
    assert.deepEqual(told, ["connecting", "waiting", "connecting", "refused"]);
  });
});

describe("figures", () => {
  const shard = (connections) => ({ connections, slow_readers: 1 });
  const node = (connections, rates) => ({ node: "n", shards: [shard(connections)], rates });

  test("are summed over nodes, by reason too", () => {
    const sum = summed([
      node(3, { delivered: 2, dropped: { slow: 1 }, refused: {} }),
      node(4, { delivered: 5, dropped: { slow: 2, closed: 4 }, refused: { muted: 1 } }),
    ]);
    assert.deepEqual(
      [sum.connections, sum.slow_readers, sum.delivered, sum.dropped, sum.refused], [7, 2, 7, 7, 1]);
    assert.deepEqual(sum.reasons, { "dropped.slow": 3, "dropped.closed": 4, "refused.muted": 1 });
  });

  test("a reason stays for as long as its line shows something", () => {
    const evening = new Evening();
    const hear = (dropped) => evening.hear("nodes", { nodes: [node(1, { dropped })], bus: true }, 0);
    hear({ slow: 1 });
    hear({});
    assert.deepEqual(evening.sum.reasons, { "dropped.slow": 0 });
    assert.deepEqual(evening.series.of("reasons dropped.slow"), [1, 0]);
    for (let i = 0; i < 61; i++) hear({});
    assert.deepEqual(evening.sum.reasons, {});
  });

  test("a node that is told of no more is gone, until that is long ago; without Redis nobody knows", () => {
    const evening = new Evening();
    const hear = (names, now, bus = true) =>
      evening.hear("nodes", { nodes: names.map((one) => ({ ...node(1, {}), node: one })), bus }, now);
    const gone = () => evening.gone().map((one) => one.node);
    hear(["a", "b"], 0);
    assert.deepEqual(gone(), []);
    hear(["a"], 2000);
    assert.deepEqual(evening.gone(), [{ node: "b", last: 0 }]);
    assert.equal(evening.sum.connections, 1);
    hear(["a"], 4000, false);
    assert.deepEqual(gone(), []);
    evening.forget();
    hear(["a"], 6000);
    assert.deepEqual(gone(), ["b"]);
    hear(["a", "b"], 8000);
    assert.deepEqual(gone(), []);
    hear(["a"], 10_000);
    hear(["a"], 20 * 60_000);
    assert.deepEqual(gone(), []);
  });

  test("a room's lines a second are those between two looks, never below nothing", () => {
    const evening = new Evening();
    const hear = (seq, now) => evening.hear("rooms", { rooms: [{ room: "r", online: 2, seq }] }, now);
    hear(100, 0);
    assert.equal(evening.lines("r"), 0);
    hear(110, 2000);
    assert.equal(evening.lines("r"), 5);
    hear(1, 4000);
    assert.equal(evening.lines("r"), 0);
    evening.hear("rooms", { rooms: [] }, 6000);
    assert.deepEqual([evening.lines("r"), evening.online.of("r")], [0, []]);
  });

  test("a series is bounded and forgets who is gone", () => {
    const series = new Series();
    for (let i = 0; i < 100; i++) series.add({ a: i, b: 1 });
    assert.equal(series.of("a").length, 60);
    series.add({ a: 1 });
    assert.deepEqual(series.of("b"), []);
  });

  test("are drawn within their box and written as people read them", () => {
    for (const [, y] of points([0, 5, 2]).split(" ").map((one) => one.split(","))) assert.ok(y >= 1 && y <= 23);
    assert.deepEqual([0, 0.25, 7, 12.6, 1234, 123456, 1.25e6].map(told),
      ["0", "0.3", "7", "13", "1,234", "123k", "1.3M"]);
    assert.deepEqual([12, 2048, 3.2e6, 5e9].map(toldBytes), ["12 B", "2 KB", "3.2 MB", "5.0 GB"]);
  });
});

describe("what is sent", () => {
  const SETTINGS = {
    announcement: null, silence: "none", min_role: "guest", owners: [], slow_s: 0, no_repeats_s: 0,
    messages_per_s: 0, shown_per_s: 0, merge_duplicates: false, join_notices: false,
  };
  const GIVEN = { ...SETTINGS, announcement: "", owners: "", slow_s: "0", no_repeats_s: "", messages_per_s: "0", shown_per_s: "0" };

  test("of the rules only what was changed", () => {
    assert.deepEqual(changes(SETTINGS, GIVEN), {});
    const given = { ...GIVEN, announcement: " hi ", slow_s: "5", owners: "a\n b \n\n", join_notices: true };
    assert.deepEqual(changes(SETTINGS, given), { announcement: "hi", slow_s: 5, owners: ["a", "b"], join_notices: true });
    assert.deepEqual(changes({ ...SETTINGS, announcement: "hi" }, GIVEN), { announcement: null });
  });

  test("a mute for so long, or for good", () => {
    assert.deepEqual(sanction({ seconds: "600", reason: "" }), { seconds: 600 });
    assert.deepEqual(sanction({ seconds: "0", reason: "rude" }), { reason: "rude" });
    assert.equal(placeOf("mutes", "a b"), "rooms/a%20b/mutes");
    assert.equal(placeOf("bans"), "bans");
    assert.deepEqual([why(""), why("a&b")], ["", "?reason=a%26b"]);
  });

  test("a broadcast to rooms has a mode, a notice none", () => {
    const given = { names: "a\nb", text: "hi", name: "n", color: "#0a0b0c", mode: "top", kind: "" };
    const message = { text: "hi", name: "n", color: 0x0a0b0c };
    assert.deepEqual(bodyOf({ ...given, to: "rooms" }), { rooms: ["a", "b"], message: { ...message, mode: "top" } });
    assert.deepEqual(bodyOf({ ...given, to: "all", kind: "system" }), { all: true, message: { ...message, kind: "system" } });
    assert.deepEqual(bodyOf({ ...given, to: "users" }), { users: ["a", "b"], message });
  });
});

describe("the audit", () => {
  test("is ordered by when things were done, numbers as numbers", () => {
    assert.deepEqual(["10-0", "9-11", "9-2"].sort(order), ["9-2", "9-11", "10-0"]);
  });

  test("says to whom or what it was done", () => {
    assert.equal(whom({ uid: "u", seconds: 9, room: "r" }), "u 9 s @ r");
    assert.equal(whom({ settings: { slow_s: 5, pinned: null } }), "Slow mode (seconds): 5, pinned: null");
    assert.equal(whom({ words: { mask: { added: 1, removed: 2, now: 3 } } }), "Mask with * +1 −2");
  });
});

describe("lists of words", () => {
  test("keep what somebody else has changed meanwhile", () => {
    const lists = (refuse) => ({ refuse, mask: [], shadow: [] });
    const after = (known, wanted, now) => merged(lists(known), lists(wanted), lists(now)).refuse;
    assert.deepEqual(after([], ["a", "b", "a"], []), ["a", "b"]);
    assert.deepEqual(after(["a", "b"], ["b", "c"], ["a", "b"]), ["b", "c"]);
    assert.deepEqual(after(["a"], ["a", "b"], ["a", "theirs"]), ["a", "theirs", "b"]);
    assert.deepEqual(after(["a", "b"], ["a", "b"], ["b"]), ["b"]);
    assert.deepEqual(after(["a"], [], ["a", "theirs"]), ["theirs"]);
  });
});

describe("what the server refuses", () => {
  const refused = (code, message) => new Refused(400, { code, message });

  test("is told in its words, or by the sentence of the code in another language", (context) => {
    context.after(() => speak("en"));
    assert.equal(worded(refused("not_found", "there is no message 7")), "there is no message 7");
    assert.equal(worded(new Refused(400, { problems: [{ path: "text", message: "empty" }] })), "text: empty");
    speak("zh-CN");
    assert.equal(worded(refused("not_found", "there is no message 7")), "不存在或已不存在。");
    assert.equal(worded(refused("forbidden", "the key lacks “moderate”")), "不允许此操作。（the key lacks “moderate”）");
    assert.equal(worded(refused("new_code", "what is new")), "服务器拒绝了此操作：what is new");
    assert.equal(worded(new Refused(502)), "服务器拒绝了此操作：HTTP 502");
    assert.equal(worded(new Away("x")), "服务器没有响应。");
  });
});

describe("texts", () => {
  test("every one is there in both languages, with the same places to fill in", () => {
    const places = (text) => [...text.matchAll(/\{\w+\}/gu)].map(String).sort();
    for (const [name, both] of Object.entries(TEXTS)) {
      assert.equal(both.length, 2, name);
      assert.ok(both.every((text) => text), name);
      assert.deepEqual(places(both[0]), places(both[1]), name);
    }
  });

  test("every code that the API refuses with has a sentence", () => {
    const guide = readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8");
    const [, table] = guide.match(/^## Errors$(.*?)^## /msu);
    const rows = [...table.matchAll(/^\| [\d, ]+ \| ([^|]+) \|/gmu)].map(([, codes]) => codes);
    const codes = rows.flatMap((row) => [...row.matchAll(/`(\w+)`/gu)].map(([, code]) => code));
    assert.ok(codes.length > 12, codes.join());
    for (const code of codes) assert.ok(`error.${code}` in TEXTS, code);
  });

  test("all that are asked for are there, and none is for nobody", () => {
    const all = MODULES.filter((name) => name !== "texts.js").map(source).join("\n");
    const asked = new Set([...all.matchAll(/\bt\("([^"]+)"/gu)].map(([, name]) => name));
    for (const name of asked) assert.ok(name in TEXTS, name);
    const begun = [
      ...[...all.matchAll(/\b(?:t|knows)\(`([\w.]+)\$\{/gu)].map(([, prefix]) => prefix),
      ...[...all.matchAll(/\bnamed\("(\w+)"/gu)].map(([, kind]) => `${kind}.`)];
    const states = ["connecting", "open", "waiting", "refused"];
    for (const name of Object.keys(TEXTS)) {
      const said = all.includes(`"${name}"`) || states.includes(name);
      assert.ok(said || begun.some((prefix) => name.startsWith(prefix)), `nobody says ${name}`);
    }
  });

  test("what is filled in is not read again", () => {
    assert.equal(t("kicked_done", { name: "{uid}" }), "{uid} was sent out.");
  });
});

test("no module makes markup of text", () => {
  for (const name of MODULES) assert.doesNotMatch(source(name), /innerHTML|outerHTML|insertAdjacentHTML|document\.write/u);
});
