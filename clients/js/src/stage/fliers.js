/* The lines in flight: their elements, and what moves those.
 *
 * Rule: text goes in by textContent, never as HTML. Elements are taken from and given back to a pool;
 * the browser's compositor moves them (Web Animations). Where each is at a time of the stage is settled
 * when it is launched. One that is held stands still above the others and its place flies on without it;
 * let go, it hurries after it, so that it meets in its lane whom it would have met: nobody.
 */

import { cssColor, isDark } from "./color.js";

/** @import { Clock } from "./clock.js" */
/** @import { Line } from "./types.js" */

/**
 * @typedef {object} Flier
 * @property {HTMLElement} element
 * @property {Animation} animation
 * @property {Line} line
 * @property {number} at when it was launched, in the stage's time
 * @property {{width: number, height: number, edge: number} | undefined} stands where, if it does not fly
 * @property {Set<string>} holds what it is held by
 * @property {number} caughtUpAt when it is where it would be
 */

const CATCH_UP = 8; // times as fast as it flies

export class Fliers {
  #sky;
  #clock;
  /** @type {HTMLElement[]} */
  #idle = [];
  /** @type {Map<Element, Flier>} */
  #flying = new Map();
  #hurrying = 0;

  /** Told of each that flies no more. @type {(flier: Flier) => void} */
  onland = () => {};

  /**
   * @param {HTMLElement} sky they fly in
   * @param {Clock} clock
   */
  constructor(sky, clock) {
    this.#sky = sky;
    this.#clock = clock;
  }

  get size() {
    return this.#flying.size;
  }

  /** Whether any is on its way to where it would be. */
  get hurrying() {
    return this.#hurrying > 0;
  }

  get all() {
    return [...this.#flying.values()];
  }

  /** @param {EventTarget | null} target an element, or a part of it */
  of(target) {
    const element = target instanceof Element ? target.closest(".danmaku") : null;
    return element ? this.#flying.get(element) : undefined;
  }

  /**
   * @param {Line & {px: number}} line
   * @param {number} now
   * @param {Keyframe[]} path
   * @param {KeyframeAnimationOptions} timing
   * @param {Flier["stands"]} [stands]
   */
  show(line, now, path, timing, stands) {
    const element = this.#idle.pop() ?? document.createElement("div");
    element.className = `danmaku ${line.look}${isDark(line.color) ? " dark-ink" : ""}`;
    element.dataset.mode = line.mode;
    element.dataset.kind = line.kind;
    element.textContent = line.text;
    if (line.who) element.prepend(whose(line.who));
    // On the house's own grounds a colour of the message's choice may be unreadable.
    element.style.color = line.look === "house" ? "#fff" : cssColor(line.color);
    element.style.fontSize = `${line.px}px`;
    this.#sky.append(element);
    const animation = element.animate(path, timing);
    const at = this.#clock.at(now);
    const flier = { element, animation, line, at, stands, holds: new Set(), caughtUpAt: 0 };
    /* Left alone, an animation starts when its first frame is ready: late by what the frame took, and
     * out of step with the lanes, which count from now. */
    this.#sync(flier, now);
    animation.onfinish = () => this.#land(flier);
    this.#flying.set(element, flier);
  }

  /** The clock was turned. @param {number} now */
  turned(now) {
    for (const flier of this.#flying.values()) if (flier.holds.size === 0) this.#sync(flier, now);
  }

  /** To be called each frame while any is hurrying. @param {number} now */
  settle(now) {
    for (const flier of this.#flying.values()) {
      if (flier.caughtUpAt && now >= flier.caughtUpAt) this.#sync(flier, now);
    }
  }

  /**
   * @param {Flier} flier
   * @param {string} by what; it is let go when all have
   */
  hold(flier, by) {
    flier.holds.add(by);
    flier.animation.pause();
    flier.element.classList.add("held");
    this.#hurry(flier, 0);
  }

  /**
   * @param {Flier} flier
   * @param {string} by
   * @param {number} now
   */
  release(flier, by, now) {
    if (!flier.holds.delete(by) || flier.holds.size || !this.#flying.has(flier.element)) return;
    flier.element.classList.remove("held");
    const behind = this.#clock.at(now) - flier.at - Number(flier.animation.currentTime);
    const { rate } = this.#clock;
    if (!rate) return this.#sync(flier, now);
    flier.animation.playbackRate = rate * CATCH_UP;
    flier.animation.play();
    this.#hurry(flier, now + behind / (rate * (CATCH_UP - 1)));
  }

  /**
   * Take away those that are meant.
   * @param {(flier: Flier) => boolean} meant
   */
  remove(meant) {
    for (const flier of this.all) {
      if (!meant(flier)) continue;
      flier.animation.cancel();
      this.#land(flier);
    }
  }

  /**
   * Where the clock says that it is.
   * @param {Flier} flier
   * @param {number} now
   */
  #sync(flier, now) {
    const { animation, at } = flier;
    const { rate } = this.#clock;
    const passed = this.#clock.at(now) - at;
    this.#hurry(flier, 0);
    if (rate) {
      animation.playbackRate = rate;
      animation.startTime = now - passed / rate;
    } else {
      animation.pause();
      animation.currentTime = passed;
    }
  }

  /**
   * @param {Flier} flier
   * @param {number} until 0: not
   */
  #hurry(flier, until) {
    this.#hurrying += Number(until > 0) - Number(flier.caughtUpAt > 0);
    flier.caughtUpAt = until;
  }

  /** @param {Flier} flier */
  #land(flier) {
    this.#flying.delete(flier.element);
    this.#hurry(flier, 0);
    flier.animation.onfinish = null;
    flier.element.remove();
    this.#idle.push(flier.element);
    this.onland(flier);
  }
}

/** @param {string} text */
function whose(text) {
  const who = document.createElement("span");
  who.className = "who";
  who.textContent = text;
  return who;
}
