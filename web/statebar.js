/* The bar above the chat: what holds in the room now. Rule: text goes in by textContent, never as
 * HTML. The bar is a polite live region, so a line is touched only when its words change; what counts
 * down is not read out.
 */

import { say, unsay } from "./i18n.js";

const MINUTES_FROM_S = 120;

export class StateBar {
  #bar;
  #shown = "";
  #countdowns = [];

  constructor(bar) {
    this.#bar = bar;
  }

  /** Show the lines of a RoomState; to be called a few times a second. */
  show(lines) {
    const words = JSON.stringify(lines.map(({ seconds, ...line }) => line));
    if (words !== this.#shown) this.#build(lines);
    this.#shown = words;
    lines.forEach(({ seconds }, index) => {
      if (seconds) say(this.#countdowns[index], "again.in", { time: roughly(seconds) });
      else unsay(this.#countdowns[index]);
    });
  }

  #build(lines) {
    const rows = lines.map((line) => row(line));
    this.#countdowns = rows.map((one) => one.lastElementChild);
    this.#bar.replaceChildren(...rows);
  }
}

function row({ kind, text, say: said }) {
  const line = document.createElement("p");
  const [label, words, countdown] = [0, 1, 2].map(() => document.createElement("span"));
  line.dataset.kind = kind;
  label.className = "rule-label";
  if (kind === "pinned") say(label, "rule.pinned");
  words.dir = "auto";
  if (said) say(words, ...said);
  else words.textContent = text;
  countdown.className = "countdown";
  countdown.setAttribute("aria-hidden", "true");
  line.append(label, words, countdown);
  return line;
}

/** Whole minutes, where there are several. */
export function roughly(seconds) {
  return { seconds: seconds > MINUTES_FROM_S ? Math.ceil(seconds / 60) * 60 : seconds };
}
