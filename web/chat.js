/* The chat list: bounded, following the newest unless its reader has scrolled up.
 *
 * Rule: text goes in by textContent, never as HTML. Nothing is added outside `#flush`, which runs at
 * most every FLUSH_MS in an animation frame: 500 messages a second are 20 insertions, not 500.
 * Overload and scrolling up both shorten the queue from its old end: the newest always show.
 * A message is pressed, by pointer or key, to do something about it: `onPress` gets it and its element.
 * One's own message stands at the end as `pending` until it comes by; then the real one takes over.
 */

import { WHITE, means } from "../clients/js/src/index.js";
import { cssColor } from "../clients/js/src/stage/color.js";

const KEEP = 200;
const FLUSH_MS = 50;
const NEAR_PX = 40;
const CALM_PER_S = 3; // above this a screen reader could only stammer
const LONG_PRESS_MS = 500;
const HUES = [345, 12, 32, 48, 92, 150, 172, 195, 212, 232, 265, 300];

export class ChatList {
  #list;
  #pill;
  #template;
  #queue = [];
  #held = 0; // since the reader scrolled up
  #following = true;
  #scheduled = false;
  #flushedAt = 0;
  #newest = 0; // highest seq handed in, shown or queued
  #pending = new Map(); // what was typed -> element
  #echoes = new Map(); // seq -> element waiting for the real message
  #onPress;
  #press; // timer of a finger that rests

  constructor({ list, pill, template, onPress }) {
    this.#onPress = onPress;
    this.#list = list;
    this.#pill = pill;
    this.#template = template.content.firstElementChild;
    list.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#stick()).observe(list);
    pill.addEventListener("click", () => this.follow());
    document.addEventListener("visibilitychange", () => this.#schedule());
    this.#listen();
  }

  add(messages, isOwn) {
    for (const message of messages) this.#queue.push({ message, own: isOwn(message.uid) });
    this.#newest = Math.max(this.#newest, messages.at(-1)?.seq ?? 0);
    this.#enqueued(messages.length);
  }

  /** Show no more what a `delete` or `clear` means; `own` when it is all of one's own. */
  remove(event, own = false) {
    this.#queue = this.#queue.filter(({ message }) => !message || !means(event, message));
    for (const item of this.#list.querySelectorAll(".own:not(.pending, .failed), [data-uid]")) {
      const seq = Number(item.dataset.seq ?? 0); // without one it is older than any
      const uid = own && item.classList.contains("own") ? event.uid : item.dataset.uid;
      if (!means(event, { seq, uid })) continue;
      item.remove();
      this.#echoes.delete(seq);
    }
  }

  divide(text) {
    this.#queue.push({ divider: text });
    this.#enqueued(0);
  }

  /** A new room, or a room numbered anew: what is shown has no number any more. */
  restart() {
    this.#newest = 0;
    this.#echoes.clear();
    for (const item of this.#list.children) delete item.dataset.seq;
  }

  clear() {
    this.restart();
    this.#queue = [];
    this.#pending.clear();
    this.#list.replaceChildren();
    this.follow();
  }

  pend(entry, name) {
    const item = this.#message({ ...entry, name, uid: "" }, true);
    item.classList.add("pending");
    this.#pending.set(entry, item);
    this.#list.append(item);
    this.follow();
  }

  settle(entry, { seq, id }) {
    const item = this.#pending.get(entry);
    if (!item) return;
    this.#pending.delete(entry);
    if (seq <= this.#newest) return void item.remove(); // the real one is here already
    item.classList.remove("pending");
    item.dataset.seq = seq;
    item.dataset.id = id;
    this.#echoes.set(seq, item);
  }

  /** It was not sent. Where the words could not be given back, they stay to be read. */
  fail(entry, givenBack) {
    const item = this.#pending.get(entry);
    this.#pending.delete(entry);
    if (!item) return;
    if (givenBack) item.remove();
    item.classList.replace("pending", "failed");
  }

  /** Back to the newest. */
  follow() {
    this.#following = true;
    this.#held = 0;
    this.#pill.hidden = true;
    this.#flush();
  }

  /** Under load a live region is noise. */
  setRate(perSecond) {
    this.#list.setAttribute("aria-live", perSecond > CALM_PER_S ? "off" : "polite");
  }

  #enqueued(count) {
    if (this.#queue.length > KEEP) this.#queue.splice(0, this.#queue.length - KEEP);
    if (this.#following) return this.#schedule();
    this.#held += count;
    this.#pill.hidden = this.#held === 0;
    this.#pill.textContent = `${this.#held > 999 ? "999+" : this.#held} new`;
    return undefined;
  }

  #schedule() {
    if (this.#scheduled || document.hidden || !this.#queue.length) return;
    this.#scheduled = true;
    requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    this.#scheduled = false;
    if (!this.#following) return;
    if (now - this.#flushedAt < FLUSH_MS) return this.#schedule();
    this.#flushedAt = now;
    return this.#flush();
  }

  #flush() {
    const items = this.#queue.splice(0).map((entry) => this.#render(entry));
    const [first] = this.#unconfirmed();
    if (first) first.before(...items);
    else this.#list.append(...items);
    this.#forgetEchoes();
    while (this.#list.childElementCount > KEEP) this.#list.firstElementChild.remove();
    this.#stick();
  }

  /** Pending messages and delivered ones not yet come by, as they stand in the list. */
  #unconfirmed() {
    return [...this.#echoes.values(), ...this.#pending.values()];
  }

  /** Delivered, and passed over by what came since: only its sender is to see it. It stays put. */
  #forgetEchoes() {
    for (const seq of this.#echoes.keys()) if (seq < this.#newest) this.#echoes.delete(seq);
  }

  #render({ message, own, divider }) {
    if (divider !== undefined) return this.#divider(divider);
    this.#echoes.get(message.seq)?.remove();
    this.#echoes.delete(message.seq);
    return this.#message(message, own);
  }

  #message({ seq, id, uid, name, text, color, kind, ts, avatar, level, badges, times }, own) {
    const item = this.#template.cloneNode(true);
    const [button, textSpan] = item.children;
    const [nameSpan, marks] = button.children;
    nameSpan.textContent = name;
    button.style.setProperty("--hue", hueOf(uid || name));
    if (avatar?.startsWith("https://")) button.prepend(portrait(avatar));
    if (level) marks.append(mark("level", `Lv ${level}`));
    for (const badge of badges ?? []) marks.append(mark("badge", badge));
    textSpan.textContent = text;
    if (times > 1) item.append(mark("times", `× ${times}`));
    if (color !== undefined && color !== WHITE) {
      item.classList.add("tinted");
      item.style.setProperty("--tint", cssColor(color));
    }
    if (seq !== undefined) item.dataset.seq = seq;
    if (uid) item.dataset.uid = uid;
    if (id !== undefined) item.dataset.id = id;
    if (kind) item.dataset.kind = kind;
    if (own) item.classList.add("own");
    if (ts) item.title = new Date(ts).toLocaleTimeString();
    return item;
  }

  #listen() {
    const list = this.#list;
    const calm = () => clearTimeout(this.#press);
    list.addEventListener("click", (event) => this.#pressed(event));
    list.addEventListener("contextmenu", (event) => this.#pressed(event) && event.preventDefault());
    list.addEventListener("pointerdown", (event) => {
      calm();
      if (event.pointerType !== "mouse") {
        this.#press = setTimeout(() => this.#pressed(event), LONG_PRESS_MS);
      }
    });
    for (const end of ["pointerup", "pointercancel", "pointermove"]) list.addEventListener(end, calm);
  }

  /** Hand over the message that was pressed; not while its text is being selected. */
  #pressed({ target }) {
    const item = target.closest(".message");
    if (!item?.dataset.uid || !getSelection().isCollapsed) return false;
    const { seq, id, uid } = item.dataset;
    const button = item.firstElementChild;
    const name = button.querySelector(".who").textContent;
    const message = { seq: seq && Number(seq), epoch: seq && id.slice(0, id.lastIndexOf("-")), uid, name };
    return this.#onPress(message, button);
  }

  #divider(text) {
    const item = document.createElement("li");
    item.className = "divider";
    item.textContent = text;
    return item;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    const near = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (near && !this.#following) this.follow();
    this.#following = near;
  }

  #stick() {
    if (this.#following) this.#list.scrollTop = this.#list.scrollHeight;
  }
}

function hueOf(key) {
  let sum = 0;
  for (let index = 0; index < key.length; index += 1) sum = (sum * 31 + key.charCodeAt(index)) >>> 0;
  return HUES[sum % HUES.length];
}

/** Whose address leads nowhere has no picture. */
function portrait(address) {
  const image = new Image(18, 18);
  image.className = "avatar";
  image.alt = "";
  image.loading = "lazy";
  image.decoding = "async";
  image.referrerPolicy = "no-referrer";
  image.addEventListener("error", () => image.remove());
  image.src = address;
  return image;
}

function mark(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.dir = "auto";
  span.textContent = text;
  return span;
}
