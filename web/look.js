/* The page's language and colours: what was asked for, the two switches, and that they last.
 *
 * Rule: an address that names a language (`?lang=`) wins over an earlier choice, which wins over the
 * browser. Until the first look is settled the page is not shown (style.css): no flash of another.
 */

import { LANGUAGES, languageFor, sayAs, setLanguage, translate } from "./i18n.js";
import { remember, store } from "./store.js";

const THEMES = ["auto", "light", "dark"];
const root = document.documentElement;

export class Look {
  #language;
  #theme;

  /** The two buttons. */
  constructor({ language, theme }) {
    this.#language = language;
    this.#theme = theme;
    const asked = new URLSearchParams(location.search).get("lang");
    this.#speak(languageFor(asked, store.language, navigator.languages));
    this.#paint(THEMES.includes(store.theme) ? store.theme : THEMES[0]);
    language.addEventListener("click", () => this.#speakNext());
    theme.addEventListener("click", () => this.#paintNext());
    root.dataset.ready = "";
  }

  #speak(code) {
    const codes = Object.keys(LANGUAGES);
    const next = codes[(codes.indexOf(code) + 1) % codes.length];
    setLanguage(code);
    root.lang = LANGUAGES[code].tag;
    translate(document);
    this.#language.value = next;
    this.#language.lang = LANGUAGES[next].tag;
    this.#language.title = LANGUAGES[next].name;
    const [whole, short] = this.#language.children;
    whole.textContent = LANGUAGES[next].name;
    short.textContent = LANGUAGES[next].short;
  }

  #speakNext() {
    const code = this.#language.value;
    remember({ language: code });
    const address = new URL(location.href);
    if (address.searchParams.has("lang")) {
      address.searchParams.set("lang", code);
      history.replaceState(null, "", address);
    }
    this.#speak(code);
  }

  #paint(theme) {
    root.dataset.theme = theme;
    const values = { theme: { key: `look.theme.${theme}` } };
    sayAs("aria-label", this.#theme, "look.theme", values);
    sayAs("title", this.#theme, "look.theme", values);
  }

  #paintNext() {
    const theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    remember({ theme });
    this.#paint(theme);
  }
}
