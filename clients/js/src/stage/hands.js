/* Pointer and keyboard on lines in flight: who is pointed at stands still, who is clicked has a menu.
 *
 * Rule: it holds and lets go; what a menu has is another's. A finger holds nothing, it only taps. With
 * keys one steps through what flies, from a button that shows when it has the focus.
 */

/** @import { Message } from "../types.js" */
/** @import { Flier, Fliers } from "./fliers.js" */
/** @import { Menu } from "./menu.js" */
/** @import { MenuItem } from "./types.js" */

export class Hands {
  #sky;
  #fliers;
  #keys;
  #menu;
  #about;
  #say;
  /** @type {Flier | undefined} */
  #open;
  /** @type {Flier | undefined} */
  #pointed;
  /** @type {Flier | undefined} */
  #chosen;

  /**
   * @param {object} on
   * @param {HTMLElement} on.sky
   * @param {Fliers} on.fliers
   * @param {Menu} on.menu
   * @param {(message: Message) => {subject: string, items: MenuItem[]}} on.about what a line's has
   * @param {HTMLButtonElement} [on.keys] none where the lines are elsewhere for the keyboard, too
   * @param {(text: string) => void} [on.say] for who cannot see it
   */
  constructor({ sky, fliers, menu, about, keys, say = () => {} }) {
    this.#sky = sky;
    this.#fliers = fliers;
    this.#keys = keys;
    this.#menu = menu;
    this.#about = about;
    this.#say = say;
    sky.classList.add("hand");
    sky.addEventListener("pointerover", (event) => this.#over(event));
    sky.addEventListener("pointerout", () => this.#point(undefined));
    sky.addEventListener("click", (event) => this.#click(event));
    keys?.addEventListener("keydown", (event) => this.#key(event));
    keys?.addEventListener("click", () => this.#enter());
    keys?.addEventListener("blur", () => this.#choose(undefined));
    const landed = fliers.onland;
    fliers.onland = (flier) => {
      landed(flier);
      if (flier === this.#open) menu.close(true); // taken back meanwhile
    };
  }

  /**
   * @param {Flier} flier
   * @param {boolean} byKey
   */
  #pick(flier, byKey) {
    const { subject, items } = this.#about(flier.line.message);
    if (!items.length) return;
    this.#menu.show(flier.element.getBoundingClientRect(), subject, items, (focus) => {
      this.#open = undefined;
      this.#fliers.release(flier, "menu", performance.now());
      if (focus && byKey) this.#keys?.focus();
    });
    this.#open = flier;
    this.#fliers.hold(flier, "menu");
  }

  /** @param {PointerEvent} event */
  #over({ target, pointerType }) {
    this.#point(pointerType === "touch" ? undefined : this.#fliers.of(target));
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const flier = this.#fliers.of(event.target);
    if (!flier) return;
    event.preventDefault();
    event.stopPropagation(); // a player would take it for play and pause
    this.#pick(flier, false);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (step) this.#step(step);
    else if (event.key === "Escape" && this.#chosen) this.#choose(undefined);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #enter() {
    if (this.#chosen) this.#pick(this.#chosen, true);
    else this.#step(1);
  }

  /** From the top down, and of those that are as high from the left. @param {number} by */
  #step(by) {
    const places = this.#fliers.all.map((flier) => ({ flier, place: flier.element.getBoundingClientRect() }));
    places.sort((one, other) => one.place.top - other.place.top || one.place.left - other.place.left);
    if (!places.length) return;
    const at = places.findIndex(({ flier }) => flier === this.#chosen);
    const next = at < 0 && by < 0 ? places.length - 1 : (at + by + places.length) % places.length;
    this.#choose(places[next].flier);
  }

  /** @param {Flier | undefined} flier */
  #point(flier) {
    this.#pointed = this.#swap(this.#pointed, flier, "pointer");
  }

  /** @param {Flier | undefined} flier */
  #choose(flier) {
    this.#chosen = this.#swap(this.#chosen, flier, "keys");
    if (flier) this.#say(`${flier.line.message.name}: ${flier.line.text}`);
  }

  /**
   * @param {Flier | undefined} old
   * @param {Flier | undefined} flier
   * @param {string} by
   */
  #swap(old, flier, by) {
    if (old === flier) return flier;
    if (old) this.#fliers.release(old, by, performance.now());
    if (flier) this.#fliers.hold(flier, by);
    return flier;
  }

  destroy() {
    this.#point(undefined);
    this.#choose(undefined);
    this.#sky.classList.remove("hand");
    this.#keys?.remove();
  }
}
