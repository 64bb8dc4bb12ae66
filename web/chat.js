/* The chat of one room: bounded, following the newest unless its reader has gone up.
 *
 * Rule: nothing is added outside `#flush`, which runs at most every FLUSH_MS in an animation frame: 500
 * messages a second are 20 insertions, not 500. Overload, going up, and being out of sight shorten the
 * queue from its old end: the newest always show.
 * Who goes up to the first line is given what was said before it, and keeps their place; back at the
 * newest, the list is short again.
 * One's own message stands at the end as `pending` until it comes by; then the real one takes over.
 */

import { means } from "../clients/js/src/index.js";
import { sayAs, say, unsay } from "./i18n.js";
import { dividerLine, epochOf, fated, messageLine, numbered, unnumbered } from "./line.js";
import { BEGINNING, pageBefore } from "./older.js";
import { Reading } from "./reading.js";

const KEEP = 200;
const FLUSH_MS = 50;
const NEAR_PX = 40;
const TOP_PX = 200; // from the first line, to load those before it
const CALM_PER_S = 3; // above this a screen reader could only stammer

export class ChatList {
  #list;
  #head; // what is said above the first line
  #lines;
  #template;
  #queue = [];
  #held = 0; // since the reader went up
  #shown = false;
  #following = true;
  #calm = true;
  #scheduled = false;
  #flushedAt = 0;
  #scrollTop = 0;
  #newest = 0; // highest seq handed in, shown or queued
  #pending = new Map(); // what was typed -> element
  #echoes = new Map(); // seq -> element waiting for the real message
  #reading;
  #onHeld;
  #ask;
  #before; // where older pages go on; else before the first line
  #end = "";
  #loading = null; // what is taken back while a page is on its way
  #filled = false;

  /** `ask`: pages of history, whose messages say whether they are `own`. `on`: press(message, button),
   *  held(count) with what came while one was reading further up, leave(). */
  constructor({ list, template, ask, on }) {
    this.#list = list;
    [this.#head, this.#lines] = list.children;
    this.#template = template.content.firstElementChild;
    this.#ask = ask;
    this.#onHeld = on.held;
    sayAs("aria-label", list, "chat.messages");
    sayAs("data-empty", this.#lines, "chat.empty");
    this.#reading = new Reading({
      list,
      lines: this.#lines,
      on: {
        press: on.press,
        leave: () => {
          this.follow();
          on.leave();
        },
        top: () => this.#loadOlder(),
        end: () => this.follow(),
        away: () => this.#stopFollowing(),
        out: () => this.#scrolled(),
      },
    });
    list.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#stick()).observe(list);
    document.addEventListener("visibilitychange", () => this.#schedule());
  }

  get element() {
    return this.#list;
  }

  /** It is what is seen now; to be called when its element is in the page. */
  show() {
    this.#shown = true;
    this.#list.scrollTop = this.#scrollTop;
    this.#tellHeld();
    if (this.#following) this.follow();
  }

  /** Another room's is seen; to be called while its element still is in the page. */
  hide() {
    this.#scrollTop = this.#list.scrollTop;
    this.#shown = false;
  }

  add(messages, isOwn) {
    for (const message of messages) this.#queue.push({ message, own: isOwn(message.uid) });
    this.#newest = Math.max(this.#newest, messages.at(-1)?.seq ?? 0);
    this.#enqueued(messages.length);
  }

  /** Show no more what a `delete` or `clear` means; `own` when it is all of one's own. */
  remove(event, own = false) {
    this.#queue = this.#queue.filter(({ message }) => !message || !means(event, message));
    this.#loading?.push(event);
    for (const item of this.#lines.querySelectorAll(".own:not(.pending, .failed), [data-uid]")) {
      const seq = Number(item.dataset.seq ?? 0); // without one it is older than any
      const uid = own && item.classList.contains("own") ? event.uid : item.dataset.uid;
      if (!means(event, { seq, uid })) continue;
      this.#reading.goes(item);
      item.remove();
      this.#echoes.delete(seq);
    }
    this.#reading.settle();
  }

  divide(key, values) {
    this.#queue.push({ divider: [key, values] });
    this.#enqueued(0);
  }

  /** The room is numbered anew: what is shown has no number any more. */
  restart() {
    this.#newest = 0;
    this.#echoes.clear();
    for (const item of this.#lines.querySelectorAll(".message")) unnumbered(item);
    this.#topAnew();
  }

  pend(entry, name) {
    const item = messageLine(this.#template, { ...entry, name, uid: "" }, true);
    fated(item, "pending");
    this.#pending.set(entry, item);
    this.#lines.append(item);
    this.follow();
  }

  settle(entry, { seq, id }) {
    const item = this.#pending.get(entry);
    if (!item) return;
    this.#pending.delete(entry);
    if (seq <= this.#newest) return void item.remove(); // the real one is here already
    fated(item);
    numbered(item, { seq, id });
    this.#echoes.set(seq, item);
  }

  /** It was not sent. Where the words could not be given back, they stay to be read. */
  fail(entry, givenBack) {
    const item = this.#pending.get(entry);
    this.#pending.delete(entry);
    if (!item) return;
    if (givenBack) item.remove();
    else fated(item, "failed");
  }

  /** Back to the newest. */
  follow() {
    this.#following = true;
    this.#held = 0;
    this.#tellHeld();
    this.#live();
    if (this.#shown) this.#flush();
  }

  /** Under load a live region is noise. */
  setRate(perSecond) {
    this.#calm = perSecond <= CALM_PER_S;
    this.#live();
  }

  // -- what is new

  #enqueued(count) {
    if (this.#queue.length > KEEP) this.#queue.splice(0, this.#queue.length - KEEP);
    if (this.#following) return this.#schedule();
    this.#held += count;
    return this.#tellHeld();
  }

  #tellHeld() {
    if (this.#shown) this.#onHeld(this.#held);
  }

  #schedule() {
    if (this.#scheduled || !this.#shown || document.hidden || !this.#queue.length) return;
    this.#scheduled = true;
    requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    this.#scheduled = false;
    if (!this.#following || !this.#shown) return;
    if (now - this.#flushedAt < FLUSH_MS) return this.#schedule();
    this.#flushedAt = now;
    return this.#flush();
  }

  #flush() {
    const items = this.#queue.splice(0).map((entry) => this.#render(entry));
    const [first] = this.#unconfirmed();
    if (first) first.before(...items);
    else this.#lines.append(...items);
    this.#forgetEchoes();
    this.#trim();
    this.#reading.settle();
    this.#judgeTop();
    this.#stick();
  }

  #trim() {
    if (this.#lines.childElementCount <= KEEP) return;
    while (this.#lines.childElementCount > KEEP) {
      this.#reading.goes(this.#lines.firstElementChild);
      this.#lines.firstElementChild.remove();
    }
    this.#topAnew();
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
    if (divider) return dividerLine(...divider);
    this.#echoes.get(message.seq)?.remove();
    this.#echoes.delete(message.seq);
    return messageLine(this.#template, message, own);
  }

  // -- what was said before

  /** The first line whose number leads further back; none, when what stands first has none. */
  #first() {
    const item = this.#lines.querySelector(".message[data-seq], .message.past");
    return item?.matches(".past") ? null : item;
  }

  #topAnew() {
    this.#before = undefined;
    this.#end = "";
    this.#loading = null;
    unsay(this.#head);
  }

  /** What begins with a room's first message has nothing above it; what leaves room is filled. */
  #judgeTop() {
    if (this.#end) return;
    const first = this.#first();
    if (first?.dataset.seq === "1") return void this.#ended(BEGINNING);
    const full = this.#list.scrollHeight > this.#list.clientHeight;
    if (!first || full || this.#filled) return;
    this.#filled = true;
    this.#loadOlder();
  }

  #ended(end) {
    this.#end = end;
    if (end) say(this.#head, `chat.${end}`);
    else unsay(this.#head);
  }

  async #loadOlder() {
    const first = this.#first();
    if (this.#loading || this.#end || !first) return;
    const taken = [];
    const epoch = epochOf(first.dataset.id);
    this.#loading = taken;
    say(this.#head, "chat.loading");
    try {
      const page = await pageBefore(this.#ask, this.#before ?? Number(first.dataset.seq));
      if (this.#loading !== taken) return; // there is another first line by now
      this.#prepend(page.messages, epoch, taken);
      this.#before = page.before;
      this.#ended(page.end);
    } catch {
      if (this.#loading === taken) say(this.#head, "chat.older.failed");
    } finally {
      if (this.#loading === taken) this.#loading = null;
    }
  }

  #prepend(messages, epoch, taken) {
    const list = this.#list;
    const kept = messages.filter((message) =>
      epochOf(message.id) === epoch && !taken.some((event) => means(event, message)));
    const below = list.scrollHeight - list.scrollTop;
    this.#lines.prepend(...kept.map((message) => messageLine(this.#template, message, message.own)));
    list.scrollTop = list.scrollHeight - below;
    this.#stick();
  }

  // -- where its reader is

  #scrolled() {
    if (!this.#shown) return;
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    const near = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (near && !this.#following) this.follow();
    else if (!near) this.#stopFollowing();
    if (!near && scrollTop < TOP_PX) this.#loadOlder();
  }

  #stopFollowing() {
    this.#following = false;
    this.#live();
  }

  #live() {
    this.#list.setAttribute("aria-live", this.#calm && this.#following ? "polite" : "off");
  }

  #stick() {
    if (this.#following) this.#list.scrollTop = this.#list.scrollHeight;
  }
}
