/* The stage: danmaku in flight.
 *
 * Rule: text goes in by textContent, never as HTML. A bounded number of elements fly, taken from and
 * given back to a pool; the browser's compositor moves them (Web Animations), so a frame costs us
 * only its launches. Widths are measured on a canvas: asking the layout would force one per text.
 * What finds no lane in time is dropped here, counted in `data-dropped`, and still in the chat list.
 * One's own danmaku and the house's (system, gifts, superchats) go first, and may overlap others, a
 * few at a time, when no lane comes free: a flood of gifts must not bury the stage either.
 */

import { means } from "../index.js";
import { cssColor, isDark } from "./color.js";
import { Lanes } from "./lanes.js";

const MOST_FLYING = 160;
const RESERVED = 24; // more, for those that go first
const MOST_FORCED = 10;
const MOST_WAITING = 120;
const TRIES_PER_FRAME = 24;
const PATIENCE_MS = 1200;
const COURTESY_MS = 400; // how long those that go first look for a lane of their own
const HOLD_MS = 4500;
const LONGEST = 100; // characters; the chat list has the rest
const REFERENCE_PX = 900; // the stage width at which a size of 25 is 25 px
const LINE = 1.28;
/* Left and right padding with border, as style.css has it. */
const PADDING_PX = { plain: 0, fixed: 10, own: 10, house: 14 };
const FADE = [{ opacity: 0 }, { opacity: 1, offset: 0.05 }, { opacity: 1, offset: 0.93 }, { opacity: 0 }];

export class Stage {
  #stage;
  #sky;
  #pen = document.createElement("canvas").getContext("2d");
  #family;
  #lanes = new Lanes();
  #waiting = [];
  #idle = [];
  #flying = new Set();
  #forced = 0;
  #dropped = 0;
  #width = 0;
  #height = 0;
  #scale = 1;
  #density = 1;
  #on = true;
  #scheduled = false;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  constructor({ stage, sky }) {
    this.#stage = stage;
    this.#sky = sky;
    this.#family = getComputedStyle(sky).fontFamily;
    new ResizeObserver(() => this.#resize()).observe(stage);
    this.#resize();
    document.addEventListener("visibilitychange", () => this.#waiting.splice(0));
  }

  set on(on) {
    this.#on = on;
    if (!on) this.clear();
  }

  set opacity(opacity) {
    this.#sky.style.opacity = opacity;
  }

  /** Share of the stage, from its top, that danmaku may cover; and of the most that may fly. */
  set density(density) {
    if (density === this.#density) return;
    this.#density = density;
    this.#resize();
  }

  clear() {
    this.#waiting = [];
    for (const flier of this.#flying) flier.animation.cancel();
    for (const flier of [...this.#flying]) this.#land(flier);
    this.#resize();
  }

  /** Fly no more what a `delete` or `clear` means. */
  remove(event) {
    this.#waiting = this.#waiting.filter(({ message }) => !means(event, message));
    for (const flier of [...this.#flying]) {
      if (!means(event, flier.message)) continue;
      flier.animation.cancel();
      this.#land(flier);
    }
  }

  /** Offer a message. A hidden page flies nothing: nobody would see it, and it would all pile up. */
  offer(message, own) {
    if (!this.#on || document.hidden) return;
    const first = own || message.kind !== undefined;
    const item = { ...this.#shape(message, own), first, at: performance.now() };
    if (first) this.#waiting.unshift(item);
    else this.#waiting.push(item);
    if (this.#waiting.length > MOST_WAITING) this.#shed();
    this.#schedule();
  }

  #shape(message, own) {
    const { color, mode: asked, size, kind } = message;
    const text = message.times > 1 ? `${brief(message.text)} × ${message.times}` : brief(message.text);
    const mode = this.#still.matches && asked !== "bottom" ? "top" : asked;
    const fixed = mode === "top" || mode === "bottom";
    const look = kind ? "house" : own ? "own" : fixed ? "fixed" : "plain";
    const px = Math.round(size * this.#scale);
    return { message, text, color, mode, fixed, look, px, kind: kind ?? "chat" };
  }

  /** Drop the oldest that may be dropped. */
  #shed() {
    const index = this.#waiting.findIndex((item) => !item.first);
    this.#waiting.splice(index, 1); // -1, all go first: the last, which is the oldest of those
    this.#dropped += 1;
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    this.#scheduled = false;
    const tried = this.#waiting.splice(0, TRIES_PER_FRAME);
    const kept = tried.filter((item) => !this.#launch(item, now) && !this.#expired(item, now));
    this.#waiting.unshift(...kept);
    this.#publish();
    if (this.#waiting.length) this.#schedule();
  }

  #expired(item, now) {
    const expired = now - item.at > PATIENCE_MS;
    if (expired) this.#dropped += 1;
    return expired;
  }

  #launch(item, now) {
    const most = item.first ? MOST_FLYING + RESERVED : MOST_FLYING * this.#density;
    if (this.#flying.size >= most) return false;
    item.width ??= this.#measure(item);
    const height = Math.ceil(item.px * LINE) + (item.look === "own" || item.look === "house" ? 4 : 0);
    const { width, first } = item;
    item.forced = first && this.#forced < MOST_FORCED && now - item.at > COURTESY_MS;
    const place = { width, height, force: item.forced };
    return item.fixed ? this.#stand(item, now, place) : this.#fly(item, now, place);
  }

  /** Text width in px; what stands still is made to fit the stage. */
  #measure(item) {
    const padding = 2 * PADDING_PX[item.look];
    const widest = this.#width * 0.94 - padding;
    this.#pen.font = `bold ${item.px}px ${this.#family}`;
    const { width } = this.#pen.measureText(item.text);
    if (!item.fixed || width <= widest) return Math.ceil(width + padding);
    item.px = Math.max(12, Math.floor((item.px * widest) / width));
    return Math.ceil(widest + padding);
  }

  #fly(item, now, place) {
    const reverse = item.mode === "reverse";
    const duration = this.#duration(place.width);
    const y = this.#lanes.fly(now, { ...place, duration, reverse });
    if (y < 0) return false;
    const path = [this.#at(this.#width, y), this.#at(-place.width, y)];
    if (reverse) path.reverse();
    this.#show(item, now, path, { duration, easing: "linear" });
    return true;
  }

  #stand(item, now, place) {
    const bottom = item.mode === "bottom";
    const edge = this.#lanes.stand(now, { ...place, hold: HOLD_MS, bottom });
    if (edge < 0) return false;
    const y = bottom ? this.#height - edge - place.height : edge;
    const rest = this.#at((this.#width - place.width) / 2, y);
    const path = FADE.map((step) => ({ ...step, ...rest }));
    this.#show(item, now, path, { duration: HOLD_MS });
    return true;
  }

  /** Longer texts fly faster, as everywhere, but no faster than can be read. */
  #duration(width) {
    const usual = Math.min(9500, 3500 + this.#width * 4.5);
    const fastest = (this.#width * 2.2) / usual;
    return Math.max(usual, (this.#width + width) / fastest);
  }

  #at(x, y) {
    return { transform: `translate3d(${x}px, ${y}px, 0)` };
  }

  #show(item, now, path, timing) {
    const element = this.#idle.pop() ?? document.createElement("div");
    element.className = `danmaku ${item.look}${isDark(item.color) ? " dark-ink" : ""}`;
    element.dataset.mode = item.mode;
    element.dataset.kind = item.kind;
    element.textContent = item.text;
    // On the house's own grounds a colour of the message's choice may be unreadable.
    element.style.color = item.look === "house" ? "#fff" : cssColor(item.color);
    element.style.fontSize = `${item.px}px`;
    this.#sky.append(element);
    const animation = element.animate(path, timing);
    const flier = { element, animation, forced: item.forced, message: item.message };
    /* Left alone, an animation starts when its first frame is ready: late by what the frame took, and
     * out of step with the lanes, which count from now. */
    flier.animation.startTime = now;
    flier.animation.onfinish = () => this.#land(flier);
    this.#flying.add(flier);
    if (flier.forced) this.#forced += 1;
    this.#stage.dataset.last = item.text;
  }

  #land(flier) {
    this.#flying.delete(flier);
    if (flier.forced) this.#forced -= 1;
    flier.animation.onfinish = null;
    flier.element.remove();
    this.#idle.push(flier.element);
    this.#schedule(); // to publish the count, once per frame
  }

  #publish() {
    this.#stage.dataset.flying = this.#flying.size;
    this.#stage.dataset.dropped = this.#dropped;
  }

  #resize() {
    this.#width = this.#stage.clientWidth;
    this.#height = this.#sky.clientHeight;
    this.#scale = Math.min(1.5, Math.max(0.62, this.#width / REFERENCE_PX));
    this.#lanes.resize(this.#width, this.#height * this.#density);
  }
}

function brief(text) {
  const characters = [...text.replace(/\s+/gu, " ")];
  return characters.length > LONGEST ? `${characters.slice(0, LONGEST).join("")}…` : characters.join("");
}
