/* The client in Node, told what to do line by line: {body, args} in, {value} or {error} out.
 *
 * `body` is that of an async function of `d`, which has all the package offers and what was kept there,
 * and `args`. It ends with its input.
 */

import { createInterface } from "node:readline";

import WebSocket from "ws";

import * as danmaku from "../src/index.js";
import { MSGPACK } from "../src/msgpack.js";

globalThis.WebSocket ??= WebSocket; // Node has its own from 22 on

const AsyncFunction = (async () => {}).constructor;
const d = { ...danmaku, MSGPACK };

for await (const line of createInterface({ input: process.stdin })) {
  const { body, args } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await new AsyncFunction("d", "args", body)(d, args)) ?? null };
  } catch (error) {
    answer = { error: error.stack };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit();
