/* The page's menu: what it says is in the page's words, and whoever opened it has the focus back.
 *
 * Rule: labels and subject are keys of i18n.js with their values. How it opens and closes, and its keys,
 * are the stage's (clients/js).
 */

import { Menu as Opened } from "../clients/js/src/stage/menu.js";
import { words } from "./i18n.js";

export class Menu {
  #menu;
  #home;

  /** `home()` gives what has the focus where who opened it is gone. */
  constructor({ menu, home }) {
    this.#menu = new Opened(menu, document.body);
    this.#home = home;
    window.addEventListener("resize", () => this.#menu.close(true));
  }

  /** Show `items` ({label, run}) for `subject` beside an element, which says that it is open. */
  showAt(element, subject, items) {
    const closed = (focus) => {
      element.setAttribute("aria-expanded", "false");
      if (focus) (element.isConnected ? element : this.#home()).focus();
    };
    this.show(element.getBoundingClientRect(), words(...subject), said(items), closed);
    element.setAttribute("aria-expanded", "true");
  }

  /** As the stage's menu, which its hands open. */
  show(beside, subject, items, closed) {
    this.#menu.show(beside, subject, items, closed);
  }

  close(focus) {
    this.#menu.close(focus);
  }
}

/** Items as they are shown. */
export function said(items) {
  return items.map(({ label, run }) => ({ label: words(...label), run }));
}
