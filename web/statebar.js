/* The bar above the chat: what holds in the room now. Rule: text goes in by textContent, never as
 * HTML. The bar is a polite live region, so a line is touched only when its words change; what counts
 * down is not read out.
 */

export class StateBar {
  #bar;
  #shown = "";
  #countdowns = [];

  constructor(bar) {
    this.#bar = bar;
  }

  /** Show the lines of a RoomState; to be called a few times a second. */
  show(lines) {
    const words = JSON.stringify(lines.map(({ kind, text }) => [kind, text]));
    if (words !== this.#shown) this.#build(lines);
    this.#shown = words;
    lines.forEach(({ seconds }, index) => {
      const words = seconds === undefined ? "" : ` Again in ${roughly(seconds)}`;
      if (this.#countdowns[index].textContent !== words) this.#countdowns[index].textContent = words;
    });
  }

  #build(lines) {
    const rows = lines.map(({ kind, text }) => {
      const row = document.createElement("p");
      const words = document.createElement("span");
      const countdown = document.createElement("span");
      row.dataset.kind = kind;
      words.dir = "auto";
      words.textContent = text;
      countdown.className = "countdown";
      countdown.setAttribute("aria-hidden", "true");
      row.append(words, countdown);
      return row;
    });
    this.#countdowns = rows.map((row) => row.lastElementChild);
    this.#bar.replaceChildren(...rows);
  }
}

function roughly(seconds) {
  return seconds > 120 ? `${Math.ceil(seconds / 60)} min` : `${seconds} s`;
}
