/* Makes dist/: what npm packs, and what a page without npm loads.
 *
 *   danmaku.js         all of the client in one ES module
 *   danmaku.global.js  the same as a plain script; it is called `Danmaku` there
 *   msgpack.js         the codec, a module of its own
 *   stage.js           the stage, an ES module that imports danmaku.js
 *   stage.global.js    stage and client as a plain script; it is called `DanmakuStage` there
 *   types/             declarations, of the sources' own JSDoc
 *
 * esbuild, because it makes all three from the modules as they are, in well under a second, and is one
 * package. Nothing of dist/ is in the repository: a node serves the sources.
 */

import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { build, transform } from "esbuild";

const HERE = import.meta.dirname ?? dirname(new URL(import.meta.url).pathname);
const at = (...path) => join(HERE, ...path);

/* Who has both has the client once. */
const besideIt = {
  name: "beside it",
  setup: ({ onResolve }) => onResolve({ filter: /^\.\.\/index\.js$/ }, () => ({ path: "./danmaku.js", external: true })),
};

/* Style sheets are text in the sources. */
const smaller = {
  name: "smaller style sheets",
  setup: ({ onLoad }) => onLoad({ filter: /stage.style\.js$/ }, async ({ path }) => {
    const sheets = /`[^`]*`/g;
    const source = readFileSync(path, "utf8");
    const minified = await Promise.all(source.match(sheets).map((sheet) =>
      transform(sheet.slice(1, -1), { loader: "css", minify: true })));
    return { contents: source.replace(sheets, () => JSON.stringify(minified.shift().code.trim())) };
  }),
};

/* Private names and class fields: Chromium 84, Firefox 90, Safari 15. */
const shared = { bundle: true, minify: true, sourcemap: true, sourcesContent: false, target: "es2022", legalComments: "none" };
const tsc = createRequire(import.meta.url).resolve("typescript/package.json");

rmSync(at("dist"), { recursive: true, force: true });
await Promise.all([
  build({ ...shared, entryPoints: [at("src/index.js")], format: "esm", outfile: at("dist/danmaku.js") }),
  build({
    ...shared, entryPoints: [at("src/index.js")], format: "iife", globalName: "Danmaku",
    outfile: at("dist/danmaku.global.js"),
  }),
  build({
    ...shared, entryPoints: [at("src/stage/index.js")], format: "esm", outfile: at("dist/stage.js"),
    plugins: [besideIt, smaller],
  }),
  build({
    ...shared, entryPoints: [at("src/stage/index.js")], format: "iife", globalName: "DanmakuStage",
    outfile: at("dist/stage.global.js"), plugins: [smaller],
  }),
  build({ ...shared, entryPoints: [at("src/msgpack.js")], format: "esm", outfile: at("dist/msgpack.js") }),
]);
execFileSync(process.execPath, [
  join(dirname(tsc), "bin/tsc"), "--project", at("tsconfig.json"), "--noEmit", "false", "--declaration",
  "--emitDeclarationOnly", "--outDir", at("dist/types"), "--rootDir", at("src"),
], { stdio: "inherit" });
