/* Who one is: the name over the chat, and the form in which a guest chooses another.
 *
 * Rule: it shows and asks; `rename(name)` is rejected where the name is not taken.
 */

import { rank } from "../clients/js/src/index.js";
import { knows, sayAs, say } from "./i18n.js";
import { remember, store } from "./store.js";

const GUEST = "guest";

export class Me {
  #button;
  #form;
  #input;

  constructor({ button, form, input, rename, complain }) {
    this.#button = button;
    this.#form = form;
    this.#input = input;
    button.addEventListener("click", () => this.#open(form.hidden));
    form.addEventListener("keydown", ({ key }) => key === "Escape" && this.#open(false));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      rename(input.value).then((name) => {
        remember({ nick: name });
        this.#open(false);
      }, complain);
    });
  }

  /** `role`: everywhere; `here`: in the room that is seen. */
  show({ name, role, here }) {
    const text = this.#button.firstElementChild;
    if (rank(here) > rank("user")) say(text, "me.role", { name, role: roleWords(here) });
    else say(text, "me.name", { name });
    sayAs("title", this.#button, role === GUEST ? "me.choose" : "me", { name });
    this.#button.disabled = role !== GUEST;
  }

  #open(open) {
    this.#form.hidden = !open;
    this.#button.setAttribute("aria-expanded", open);
    this.#input.value = store.nick ?? "";
    (open ? this.#input : this.#button).focus();
  }
}

function roleWords(role) {
  return knows(`role.${role}`) ? { key: `role.${role}` } : role;
}
