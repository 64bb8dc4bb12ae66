/* What a text and a room's name may be, as the server has it: patterns and limits from the page.
 *
 * Rule: no rule of its own. chat/policy/text.py says what the patterns are and means the same by them.
 * Checking here saves a way to the server and back; the server checks again, and what it says counts.
 * Lengths are in characters, not in UTF-16 units: 🎉 is one.
 */

/* Where no server filled the page in, everything that can be sent may be tried. */
const ANYTHING = {
  room: ".", room_chars: Infinity, text_chars: Infinity,
  dividing: "\\p{Cc}+", vanishing: "\\p{Cs}", surplus: "(?!)", visible: "\\S",
};

export class Rules {
  #room;
  #dividing;
  #vanishing;
  #surplus;
  #visible;

  /** `served`: what `rules_for_page` gives. */
  constructor(served) {
    this.roomChars = served.room_chars;
    this.textChars = served.text_chars;
    this.#room = new RegExp(served.room, "u");
    this.#visible = new RegExp(served.visible, "u");
    this.#dividing = new RegExp(served.dividing, "gu");
    this.#vanishing = new RegExp(served.vanishing, "gu");
    this.#surplus = new RegExp(served.surplus, "gu");
  }

  allowsRoom(name) {
    return lengthOf(name) <= this.roomChars && this.#room.test(name);
  }

  /** The text as it will be published; empty when nothing of it could be seen. */
  clean(text) {
    const line = text.replace(this.#dividing, " ").replace(this.#vanishing, "").trim();
    const cleaned = line.replace(this.#surplus, "$1");
    return this.#visible.test(cleaned) ? cleaned : "";
  }
}

/** The rules in the page. */
export function servedRules() {
  const { textContent } = document.getElementById("rules");
  return new Rules(textContent.startsWith("{{") ? ANYTHING : JSON.parse(textContent));
}

/** In characters. */
export function lengthOf(text) {
  return [...text].length;
}
