/* A menu: opened beside what it is about, closed by Escape, Tab or a click elsewhere.
 *
 * Rule: it knows labels and what to run, nothing of messages. Roles and keys are those of the ARIA menu
 * pattern: arrows go round, Home and End to the ends. Whoever opens it is told when it closes.
 */

/** @import { MenuItem } from "./types.js" */

const MARGIN_PX = 6;

export class Menu {
  #menu;
  #area;
  #ended = new AbortController();
  /** @type {(focus: boolean) => void} */
  #onclose = () => {};

  /**
   * @param {HTMLElement} menu empty, and where it is in the tree
   * @param {HTMLElement} area which it stays within, and begins at the corner of
   */
  constructor(menu, area) {
    this.#menu = menu;
    this.#area = area;
    menu.hidden = true;
    menu.setAttribute("role", "menu");
    menu.addEventListener("keydown", (event) => this.#key(event));
    const { signal } = this.#ended;
    document.addEventListener("pointerdown", (event) => {
      if (!event.composedPath().includes(this.#menu)) this.close(false);
    }, { signal, capture: true });
  }

  get open() {
    return !this.#menu.hidden;
  }

  /**
   * @param {DOMRect} beside
   * @param {string} subject
   * @param {MenuItem[]} items
   * @param {(focus: boolean) => void} onclose whether the focus is to go back to where it was
   */
  show(beside, subject, items, onclose) {
    this.close(false);
    this.#onclose = onclose;
    this.#menu.setAttribute("aria-label", subject);
    this.#menu.replaceChildren(...items.map((item) => this.#item(item)));
    this.#menu.hidden = false;
    this.#place(beside);
    this.#items[0]?.focus({ preventScroll: true });
  }

  /** @param {boolean} focus */
  close(focus) {
    if (!this.open) return;
    this.#menu.hidden = true;
    this.#onclose(focus);
  }

  destroy() {
    this.close(false);
    this.#ended.abort();
  }

  get #items() {
    return /** @type {HTMLElement[]} */ ([...this.#menu.children]);
  }

  /** @param {MenuItem} item */
  #item({ label, run }) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "menuitem");
    button.tabIndex = -1;
    button.textContent = label;
    button.addEventListener("click", () => {
      this.close(true);
      run();
    });
    return button;
  }

  /** @param {DOMRect} beside */
  #place({ left, top, bottom }) {
    const area = this.#area.getBoundingClientRect(); // an on-screen keyboard may have moved it
    const { width, height } = this.#menu.getBoundingClientRect();
    const x = Math.min(left - area.left, area.width - width - MARGIN_PX);
    const below = bottom - area.top;
    const y = below + height > area.height ? Math.min(top - area.top, area.height) - height : below;
    this.#menu.style.left = `${Math.max(0, x)}px`;
    this.#menu.style.top = `${Math.max(0, y)}px`;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const items = this.#items;
    const at = items.findIndex((item) => item.matches(":focus"));
    /** @type {Record<string, number>} */
    const steps = {
      ArrowDown: (at + 1) % items.length,
      ArrowUp: (at - 1 + items.length) % items.length,
      Home: 0,
      End: items.length - 1,
    };
    if (event.key in steps) items[steps[event.key]].focus();
    else if (event.key === "Escape" || event.key === "Tab") this.close(true);
    else return;
    event.preventDefault();
    event.stopPropagation(); // a player has keys of its own
  }
}
