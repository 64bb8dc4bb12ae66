/* A menu at some element: opened where one clicked, closed by Escape, Tab or a click elsewhere.
 *
 * Rule: it knows what to say and what to run, nothing of messages. Roles and keys are those of the ARIA
 * menu pattern: arrows go round, Home and End to the ends. The focus goes back to where it came from,
 * unless that is gone: then to what `home()` gives.
 */

import { words } from "./i18n.js";

const MARGIN_PX = 8;

export class Menu {
  #menu;
  #home;
  #from = null;

  constructor({ menu, home }) {
    this.#menu = menu;
    this.#home = home;
    menu.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("pointerdown", ({ target }) => {
      if (this.open && !menu.contains(target)) this.close(false);
    });
    window.addEventListener("resize", () => this.close());
  }

  get open() {
    return !this.#menu.hidden;
  }

  /** Show `items` ({label, run}) for `subject` beside an element, which gets the focus back. Labels and
   *  subject are keys with their values. */
  show(from, subject, items) {
    this.#from?.setAttribute("aria-expanded", "false");
    this.#from = from;
    from.setAttribute("aria-expanded", "true");
    this.#menu.setAttribute("aria-label", words(...subject));
    this.#menu.replaceChildren(...items.map((item) => this.#item(item)));
    this.#menu.hidden = false;
    this.#place(from.getBoundingClientRect());
    this.#menu.firstElementChild.focus();
  }

  close(focus = true) {
    if (!this.open) return;
    this.#menu.hidden = true;
    this.#from.setAttribute("aria-expanded", "false");
    if (focus) (this.#from.isConnected ? this.#from : this.#home()).focus();
    this.#from = null;
  }

  #item({ label, run }) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "menuitem");
    button.tabIndex = -1;
    button.textContent = words(...label);
    button.addEventListener("click", () => {
      this.close();
      run();
    });
    return button;
  }

  /** In the page's own frame, which an on-screen keyboard may have moved. */
  #place({ left, top, bottom }) {
    const { width, height } = this.#menu.getBoundingClientRect();
    const frame = document.body.getBoundingClientRect();
    const x = Math.min(left - frame.left, frame.width - width - MARGIN_PX);
    const y = bottom + height + MARGIN_PX > frame.bottom ? top - height : bottom;
    this.#menu.style.left = `${Math.max(MARGIN_PX, x)}px`;
    this.#menu.style.top = `${Math.max(MARGIN_PX, y - frame.top)}px`;
  }

  #key(event) {
    const items = [...this.#menu.children];
    const at = items.indexOf(document.activeElement);
    const steps = {
      ArrowDown: (at + 1) % items.length,
      ArrowUp: (at - 1 + items.length) % items.length,
      Home: 0,
      End: items.length - 1,
    };
    if (event.key in steps) items[steps[event.key]].focus();
    else if (event.key === "Escape" || event.key === "Tab") this.close();
    else return;
    event.preventDefault();
  }
}
