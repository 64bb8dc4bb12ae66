/* How the chat is read and pressed: pointer, finger and keys on its lines.
 *
 * Rule: it moves the focus and tells; what is listed is chat.js. The lines are one stop for Tab, at the
 * newest or where one last was; arrows, Home and End go from line to line, Enter and Space press, as on
 * any button, Escape leaves. A line is pressed by a click, a right click, or a finger that rests.
 */

import { timeOf } from "./i18n.js";
import { messageOf } from "./line.js";

const LONG_PRESS_MS = 500;

export class Reading {
  #list;
  #lines;
  #on;
  #current = null;
  #press; // timer of a finger that rests

  /** `on`: press(message, button); top() when one looks beyond the first line; away() from the newest
   *  and end() back at it; out() when the focus goes elsewhere; leave() when that is asked for. */
  constructor({ list, lines, on }) {
    this.#list = list;
    this.#lines = lines;
    this.#on = on;
    this.#listen();
  }

  /** Whether somebody's focus is on a line. */
  get focused() {
    return this.#lines.contains(document.activeElement);
  }

  /** Lines came or went: Tab stops at the newest, unless one is among the lines. */
  settle() {
    if (this.focused) return;
    this.#stopAt(this.#messages().at(-1));
  }

  /** A line goes: whoever is on it is on the one beside it. */
  goes(item) {
    if (!item.contains(document.activeElement)) return;
    const beside = item.nextElementSibling ?? item.previousElementSibling;
    const button = beside?.querySelector?.(".name");
    if (button) this.#focus(beside);
    else this.#list.focus();
  }

  #messages() {
    return [...this.#lines.querySelectorAll(".message")];
  }

  #stopAt(item) {
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = item?.querySelector(".name") ?? null;
    if (this.#current) this.#current.tabIndex = 0;
  }

  #focus(item) {
    this.#stopAt(item);
    this.#current?.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
  }

  #listen() {
    const list = this.#list;
    const calm = () => clearTimeout(this.#press);
    list.addEventListener("click", (event) => this.#pressed(event));
    list.addEventListener("contextmenu", (event) => this.#pressed(event) && event.preventDefault());
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && this.#on.top(), { passive: true });
    list.addEventListener("focusin", ({ target }) => {
      if (target.matches(".name")) this.#stopAt(target.closest(".message"));
    });
    list.addEventListener("focusout", ({ relatedTarget }) => list.contains(relatedTarget) || this.#on.out());
    list.addEventListener("pointerover", ({ target }) => {
      const item = target.closest(".message[data-ts]");
      if (item) item.title = timeOf(Number(item.dataset.ts));
    });
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
    return this.#on.press(messageOf(item), item.firstElementChild);
  }

  #key(event) {
    if (event.key === "Escape") return void this.#on.leave();
    const lines = this.#messages();
    const at = lines.findIndex((line) => line.contains(document.activeElement));
    const from = at < 0 ? lines.length : at;
    const steps = { ArrowUp: from - 1, ArrowDown: from + 1, Home: 0, End: lines.length - 1 };
    if (!(event.key in steps) || !lines.length) return undefined;
    event.preventDefault();
    const to = steps[event.key];
    if (to < 0 || event.key === "Home") this.#on.top();
    const item = lines[Math.min(Math.max(to, 0), lines.length - 1)];
    this.#focus(item);
    return item === lines.at(-1) ? this.#on.end() : this.#on.away();
  }
}
