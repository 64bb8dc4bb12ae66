/* One line of the chat: a message, or what stands between messages.
 *
 * Rule: text goes in by textContent, never as HTML. It knows no list and no connection. `data-seq`,
 * `data-id` and `data-uid` say which message it is; one that has no number any more is `past`.
 */

import { WHITE } from "../clients/js/src/index.js";
import { hueOf, portrait } from "./avatar.js";
import { cssColor } from "../clients/js/src/stage/color.js";
import { number, say } from "./i18n.js";

/** A message's element, of the template's. */
export function messageLine(template, message, own) {
  const { seq, id, uid, name, text, color, kind, ts, level, badges, times } = message;
  const item = template.cloneNode(true);
  const [button, marks, textSpan] = item.children;
  const [nameSpan] = button.children;
  nameSpan.textContent = name;
  button.style.setProperty("--hue", hueOf(uid || name));
  button.prepend(portrait(message));
  if (level) marks.append(says("level", "chat.level", { level }));
  for (const badge of badges ?? []) marks.append(mark("badge", badge));
  textSpan.textContent = text;
  if (times > 1) item.append(mark("times", `× ${number(times)}`));
  if (color !== undefined && color !== WHITE) {
    item.classList.add("tinted");
    item.style.setProperty("--tint", cssColor(color));
  }
  if (seq !== undefined) numbered(item, { seq, id });
  if (uid) item.dataset.uid = uid;
  if (kind) item.dataset.kind = kind;
  if (own) item.classList.add("own");
  if (ts) item.dataset.ts = ts;
  return item;
}

export function numbered(item, { seq, id }) {
  item.dataset.seq = seq;
  item.dataset.id = id;
}

/** Its number means nothing any more. */
export function unnumbered(item) {
  delete item.dataset.seq;
  item.classList.add("past");
}

/** What became of one's own message: `pending`, `failed`, or nothing to be said. */
export function fated(item, fate = "") {
  item.classList.remove("pending", "failed");
  item.querySelector(".fate")?.remove();
  if (!fate) return;
  item.classList.add(fate);
  item.append(says("fate", `chat.${fate}`));
}

/** The message that a line shows, as far as something can be done about it. */
export function messageOf(item) {
  const { seq, id, uid } = item.dataset;
  const name = item.querySelector(".who").textContent;
  return { seq: seq && Number(seq), epoch: seq && epochOf(id), uid, name };
}

export function epochOf(id) {
  return id.slice(0, id.lastIndexOf("-"));
}

export function dividerLine(key, values) {
  return says("divider", key, values);
}

function mark(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.dir = "auto";
  span.textContent = text;
  return span;
}

function says(kind, key, values) {
  const span = document.createElement("span");
  span.className = kind;
  say(span, key, values);
  return span;
}
