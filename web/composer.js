/* The box under the stage: the text, its colour, mode and size, and what the server objected to.
 *
 * Rule: it hands `send` a finished entry and forgets it; whether it arrived is client.js' business.
 * An entry's id is made here, once: every repeat of the entry carries it.
 */

import { WHITE } from "../clients/js/src/index.js";
import { cssColor } from "../clients/js/src/stage/color.js";
import { knows, number, say, sayAs, unsay } from "./i18n.js";
import { lengthOf } from "./rules.js";
import { roughly } from "./statebar.js";
import { remember, store } from "./store.js";

const COUNT_FROM = 0.8; // of the longest text, before the counter shows
const SHOWN_MS = 6000;
const PALETTE = [
  ["white", WHITE], ["red", 0xfe5e5e], ["orange", 0xff9d3b], ["yellow", 0xffe14a], ["green", 0x6fe06f],
  ["cyan", 0x3fd8e8], ["blue", 0x6ea8ff], ["violet", 0xc08cff], ["pink", 0xff82b2],
];
export class Composer {
  #form;
  #input;
  #count;
  #error;
  #tools;
  #styling;
  #send;
  #rules;
  #draft = { color: WHITE, mode: "scroll", size: 25, ...store.draft };
  #wait;
  #problem = null;

  /** `send({text, color, mode, size})` sends it; `rules` say what may be. */
  constructor({ form, send, rules }) {
    const [input, count, error, tools, styling, wait] =
      ["#input", "#count", "#error", "#tools", "#styling", "#wait"].map((selector) => form.querySelector(selector));
    this.#form = form;
    this.#input = input;
    this.#count = count;
    this.#error = error;
    this.#tools = tools;
    this.#styling = styling;
    this.#wait = wait;
    this.#send = send;
    this.#rules = rules;
    this.#buildPalette();
    this.#showDraft();
    this.#listen();
  }

  get typed() {
    return this.#input.value;
  }

  set typed(text) {
    this.#input.value = text;
    this.#showCount();
  }

  /** How many seconds one has to wait before one may say something; 0: none. The server judges. */
  set wait(seconds) {
    this.#wait.parentElement.classList.toggle("waits", seconds > 0);
    if (seconds) say(this.#wait, "send.wait", { time: roughly(seconds) });
    else unsay(this.#wait);
  }

  /** Not sent: the words go back to whoever wrote them, unless they are writing others by now. */
  giveBack(text, error) {
    const free = !this.#input.value;
    if (free) this.#input.value = text;
    this.#showCount();
    this.complain(error);
    return free;
  }

  /** Show an error event; with `retry_after` it counts down, to `again`, a try of our own, or theirs. */
  complain({ code, message, retry_after: retryAfter, again = false }) {
    const lasts = retryAfter === undefined ? SHOWN_MS : retryAfter * 1000;
    this.#problem = {
      words: knows(`refused.${code}`) ? [`refused.${code}`, { message }] : [message ?? code],
      until: performance.now() + lasts,
      countdown: retryAfter !== undefined && (again ? "again.by-itself" : "again.in"),
    };
    this.tick();
  }

  settle() {
    this.#problem = null;
    this.#error.hidden = true;
  }

  /** To be called a few times a second. */
  tick() {
    if (!this.#problem) return;
    const { words, until, countdown } = this.#problem;
    const seconds = Math.ceil((until - performance.now()) / 1000);
    if (seconds <= 0) return void this.settle();
    const [said, when] = this.#error.children; // the countdown is not read out
    if (knows(words[0])) say(said, ...words);
    else if (said.textContent !== words[0]) unsay(said, words[0]);
    if (countdown) say(when, countdown, { time: roughly(seconds) });
    else unsay(when);
    this.#error.hidden = false;
  }

  #listen() {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#input.addEventListener("input", () => this.#showCount());
    /* Enter that picks a candidate in an input method is not "send". Safari reports it as 229. */
    this.#input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.isComposing || event.keyCode === 229)) event.preventDefault();
    });
    this.#tools.addEventListener("change", ({ target }) => this.#choose(target));
    this.#styling.addEventListener("click", () => {
      const open = this.#form.classList.toggle("styled");
      this.#styling.setAttribute("aria-expanded", open);
    });
  }

  #submit() {
    if (!this.#input.value) return;
    const text = this.#rules.clean(this.#input.value);
    if (!text) return void this.complain({ code: "text_empty" });
    if (lengthOf(text) > this.#rules.textChars) return void this.complain({ code: "text_too_long" });
    this.#input.value = "";
    this.#showCount();
    this.#send({ text, ...this.#draft });
  }

  #choose({ type, name, value }) {
    if (type !== "radio") return;
    this.#draft[name] = name === "mode" ? value : Number(value);
    remember({ draft: this.#draft });
    this.#showDraft();
  }

  #showDraft() {
    for (const [name, value] of Object.entries(this.#draft)) {
      const radio = this.#tools.querySelector(`input[name="${name}"][value="${value}"]`);
      if (radio) radio.checked = true;
    }
    this.#styling.style.setProperty("--tint", cssColor(this.#draft.color));
  }

  #showCount() {
    const most = this.#rules.textChars;
    const length = lengthOf(this.#rules.clean(this.#input.value));
    this.#count.textContent = length < COUNT_FROM * most ? "" : `${number(length)}/${number(most)}`;
  }

  #buildPalette() {
    for (const [name, color] of PALETTE) {
      const label = document.createElement("label");
      const radio = create("input", { type: "radio", name: "color", value: color });
      const dot = create("span", { className: "swatch" });
      const words = create("span", { className: "unseen" });
      dot.style.setProperty("--tint", cssColor(color));
      say(words, `color.${name}`);
      sayAs("title", label, `color.${name}`);
      label.append(radio, dot, words);
      this.#tools.querySelector("#colors").append(label);
    }
  }
}

function create(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
