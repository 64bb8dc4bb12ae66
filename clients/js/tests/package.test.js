/* The package as others get it: its types, its size, what is in it, and that it works from there. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";

import * as source from "../src/index.js";
import { optional } from "./optional.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(HERE);
const MOST_BYTES = {
  "danmaku.js": 8 * 1024, "danmaku.global.js": 8 * 1024, // the client
  "stage.js": 11.5 * 1024, "stage.global.js": 18.5 * 1024, // the stage beside it, and with it
};
const built = await optional("esbuild");
const skip = built ? false : "npm has not installed what builds it";

const run = (command, args, cwd = ROOT) => {
  try {
    return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    throw new Error(`${command} ${args.join(" ")}\n${error.stdout}${error.stderr}`);
  }
};
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");

describe("the package", { skip }, () => {
  let folder; // a project that has it installed
  let installed;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "danmaku-client-"));
    const [{ filename }] = JSON.parse(run("npm", ["pack", "--json", "--silent", "--pack-destination", folder]));
    installed = join(folder, "node_modules/danmaku-client");
    mkdirSync(installed, { recursive: true });
    run("tar", ["-xzf", join(folder, filename), "-C", installed, "--strip-components=1"]);
    writeFileSync(join(folder, "package.json"), '{"type": "module"}');
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  test("has sources whose types are right", () => {
    run(process.execPath, [TSC]);
  });

  test("holds what is needed and nothing else", () => {
    const files = readdirSync(installed, { recursive: true }).map(String);
    for (const name of ["LICENSE", "README.md", "package.json", "dist/danmaku.js", "dist/types/types.d.ts"]) {
      assert.ok(files.includes(name), name);
    }
    assert.deepEqual(files.filter((name) => /tests|node_modules|tsconfig|\.npmrc/.test(name)), []);
    const { dependencies, scripts } = JSON.parse(readFileSync(join(installed, "package.json")));
    assert.equal(dependencies, undefined);
    assert.ok(!("postinstall" in scripts) && !("install" in scripts));
  });

  for (const [name, most] of Object.entries(MOST_BYTES)) {
    test(`is at most ${most / 1024} KB gzipped as ${name}`, () => {
      const bytes = gzipSync(readFileSync(join(installed, "dist", name)), { level: 9 }).length;
      assert.ok(bytes <= most, `${bytes} bytes`);
    });
  }

  test("is imported by its name, and offers what its sources do", () => {
    const program = `
      import * as all from "danmaku-client";
      import { MSGPACK } from "danmaku-client/msgpack";
      import { mount } from "danmaku-client/stage";
      console.log(JSON.stringify([Object.keys(all).sort(), MSGPACK.protocol, typeof mount]));
    `;
    const said = JSON.parse(run(process.execPath, ["--input-type=module", "-e", program], folder));
    assert.deepEqual(said, [Object.keys(source).sort(), "danmaku.msgpack", "function"]);
  });

  test("is one name as a plain script", () => {
    const context = {};
    runInNewContext(readFileSync(join(installed, "dist/danmaku.global.js"), "utf8"), context);
    assert.deepEqual(Object.keys(context), ["Danmaku"]);
    assert.deepEqual(Object.keys(context.Danmaku).sort(), Object.keys(source).sort());
    runInNewContext(readFileSync(join(installed, "dist/stage.global.js"), "utf8"), context);
    assert.deepEqual(Object.keys(context), ["Danmaku", "DanmakuStage"]);
    assert.deepEqual(Object.keys(context.DanmakuStage), ["mount"]);
  });

  test("has types for who uses it, which find what is wrong", () => {
    writeFileSync(join(folder, "use.ts"), `
      import { connect, means, type Message } from "danmaku-client";
      import { MSGPACK } from "danmaku-client/msgpack";
      const client = connect("ws://host/ws", { rooms: ["a"], token: async () => "t", codec: MSGPACK });
      const off: () => void = client.on("message", (message: Message) => message.text.length);
      client.on("gap", (gap) => client.missed(gap).then(({ messages, removals, lost }) => [messages[0].text, removals[0].t, lost + gap.seq]));
      client.on("delete", (event) => means(event, { seq: event.target }));
      client.send("a", "hi", { mode: "top" }).then(({ seq }) => seq + 1);
      // @ts-expect-error: no such event
      client.on("confetti", () => {});
      // @ts-expect-error: no such field
      client.on("gap", ({ missing }) => missing);
      // @ts-expect-error: no such mode
      client.send("a", "hi", { mode: "diagonal" });
      // @ts-expect-error: no such option
      connect("ws://host/ws", { room: "a" });
      off();
      import { mount, type Mounted } from "danmaku-client/stage";
      const stage: Mounted = mount(document.body, { url: "ws://host/ws", room: "a", speed: 2, filters: { modes: ["top"] } });
      stage.on("left_out", ({ share }) => share.toFixed());
      stage.set({ opacity: 1 });
      // @ts-expect-error: no such option
      stage.set({ opactiy: 1 });
      // @ts-expect-error: the room is missing
      mount(document.body, { client });
    `);
    const options = "--noEmit --strict --target es2022 --lib es2022,dom --module nodenext use.ts";
    run(process.execPath, [TSC, ...options.split(" ")], folder);
  });
});
