/* The box under the stage: the text, its colour, mode and size, and what the server objected to.
 *
 * Rule: it hands `send` a finished entry and forgets it; whether it arrived is client.js' business.
 * An entry's id is made here, once: every repeat of the entry carries it.
 */

import { WHITE } from "../clients/js/src/index.js";
import { cssColor } from "../clients/js/src/stage/color.js";
import { lengthOf } from "./rules.js";
import { remember, store } from "./store.js";

const COUNT_FROM = 0.8; // of the longest text, before the counter shows
const SHOWN_MS = 6000;
const PALETTE = [
  ["White", WHITE], ["Red", 0xfe5e5e], ["Orange", 0xff9d3b], ["Yellow", 0xffe14a], ["Green", 0x6fe06f],
  ["Cyan", 0x3fd8e8], ["Blue", 0x6ea8ff], ["Violet", 0xc08cff], ["Pink", 0xff82b2],
];
const ADVICE = {
  rate_limited: "A little slower, please.",
  unavailable: "The server cannot take messages right now.",
  read_only: "You may read here, but not write.",
  text_too_long: "That is too long.",
  text_empty: "There is nothing to send.",
  not_joined: "You are not in this room.",
  bad_room: "There can be no room of that name.",
  too_many_rooms: "You are in too many rooms.",
  muted: "You are muted and cannot type here.",
  silenced: "Only some may type here just now.",
  slow_mode: "This room is in slow mode.",
  repeated: "You said that already.",
  word_refused: "A word in it may not be said here.",
  banned: "You are banned from this room.",
  room_busy: "Too much is being said here just now.",
  queue_full: "Several messages are still on their way.",
  id_reused: "That could not be told from another message.",
};

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
  #problem = null;

  /** `send({text, color, mode, size})` sends it; `rules` say what may be. */
  constructor({ form, send, rules }) {
    const [input, count, error, tools, styling] = ["#input", "#count", "#error", "#tools", "#styling"]
      .map((selector) => form.querySelector(selector));
    this.#form = form;
    this.#input = input;
    this.#count = count;
    this.#error = error;
    this.#tools = tools;
    this.#styling = styling;
    this.#send = send;
    this.#rules = rules;
    this.#buildPalette();
    this.#showDraft();
    this.#listen();
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
    const words = ADVICE[code] ?? message ?? code;
    this.#problem = { words, until: performance.now() + lasts, counts: retryAfter !== undefined, again };
    this.tick();
  }

  settle() {
    this.#problem = null;
    this.#error.hidden = true;
  }

  /** To be called a few times a second. */
  tick() {
    if (!this.#problem) return;
    const { words, until, counts, again } = this.#problem;
    const seconds = Math.ceil((until - performance.now()) / 1000);
    if (seconds <= 0) return void this.settle();
    const [said, countdown] = this.#error.children; // the countdown is not read out
    if (said.textContent !== words) said.textContent = words;
    countdown.textContent = counts ? ` ${again ? "Trying again" : "Again"} in ${seconds} s` : "";
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
    this.#count.textContent = length < COUNT_FROM * most ? "" : `${length}/${most}`;
  }

  #buildPalette() {
    for (const [name, color] of PALETTE) {
      const label = document.createElement("label");
      const radio = create("input", { type: "radio", name: "color", value: color });
      const dot = create("span", { className: "swatch" });
      const words = create("span", { className: "unseen", textContent: name });
      dot.style.setProperty("--tint", cssColor(color));
      label.title = name;
      label.append(radio, dot, words);
      this.#tools.querySelector("#colors").append(label);
    }
  }
}

function create(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
