/* The stage: danmaku in flight.
 *
 * Rule: a bounded number flies, and what does not find a lane in time is left out, and counted. A frame
 * costs us only its launches. Widths are measured on a canvas: asking the layout would force one per
 * text. One's own danmaku and the house's (system, gifts, superchats) go first.
 */

import { means } from "../index.js";
import { Clock } from "./clock.js";
import { Fliers } from "./fliers.js";
import { Lanes } from "./lanes.js";
import { lineOf } from "./line.js";
import { looked } from "./look.js";
import { Pace } from "./pace.js";
import { Queue } from "./queue.js";
import { LINES, adopt } from "./style.js";
import { Tally } from "./tally.js";

/** @import { Message } from "../types.js" */
/** @import { Line, Look, Stats } from "./types.js" */
/** @typedef {Line & {at: number, px: number, width?: number}} Item */

const MOST_FLYING = 240;
const RESERVED = 24; // more, for those that go first
const HOLD_MS = 4500;
const REFERENCE_PX = 900; // the stage width at which a size of 25 is 25 px
const LINE = 1.28;
/* Left and right padding with border, and top and bottom, as style.js has it. */
const PADDING_PX = { plain: [0, 0], fixed: [10, 0], own: [10, 4], house: [14, 4] };
const FADE = [{ opacity: 0 }, { opacity: 1, offset: 0.05 }, { opacity: 1, offset: 0.93 }, { opacity: 0 }];

export class Stage {
  #stage;
  #sky;
  #note = document.createElement("p");
  #pen = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  #family;
  #clock = new Clock();
  #lanes = new Lanes();
  #queue = /** @type {Queue<Item>} */ (new Queue());
  #pace = new Pace();
  #tally = new Tally();
  #look = looked({});
  #width = 0;
  #height = 0;
  #scale = 1;
  #shared = -1;
  #scheduled = false;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #observer = new ResizeObserver(() => this.#resize());
  #timer;
  #ended = new AbortController();

  /** Told, once a second, when the share that is left out has changed. @type {() => void} */
  onshare = () => {};

  /**
   * @param {{stage: HTMLElement, sky: HTMLElement, note?: boolean}} elements the stage, and what of it
   *   lines fly in; `note`: show the share that is left out
   */
  constructor({ stage, sky, note = true }) {
    this.#stage = stage;
    this.#sky = sky;
    this.fliers = new Fliers(sky, this.#clock);
    this.fliers.onland = () => this.#schedule(); // who lands makes place, and is counted
    adopt(sky.getRootNode(), LINES);
    this.#family = getComputedStyle(sky).fontFamily;
    this.#note.className = "left-out";
    this.#note.hidden = true;
    if (note) sky.after(this.#note);
    this.#observer.observe(sky);
    this.#resize();
    const { signal } = this.#ended;
    document.addEventListener("visibilitychange", () => this.#queue.remove(() => true), { signal });
    this.#calm.addEventListener("change", () => this.clear(), { signal });
    this.#timer = setInterval(() => this.#tell(), 1000);
  }

  /** @returns {Omit<Stats, "filtered">} */
  get stats() {
    const { flown, left_out } = this.#tally;
    const share = this.#tally.share(performance.now());
    return { flown, left_out, share, flying: this.fliers.size, waiting: this.#queue.size };
  }

  /** How it says that a share was left out. @param {number} share */
  words = (share) => `${percent(share)} left out`;

  /** @param {Partial<Look>} change */
  set(change) {
    this.#look = looked(change, this.#look);
    this.#queue.patience = this.#look.patience;
    this.#pace.speed = this.#look.speed;
    this.#sky.style.opacity = String(this.#look.opacity);
    if (this.#off) this.clear();
    this.#resize();
  }

  /**
   * Time goes at this rate from now on: 0 is not at all, and then nothing is taken but what goes first.
   * @param {number} rate
   */
  turn(rate) {
    if (rate === this.#clock.rate) return;
    const now = performance.now();
    this.#clock.turn(now, rate);
    this.fliers.turned(now);
    this.#schedule();
  }

  clear() {
    this.#queue.remove(() => true);
    this.fliers.remove(() => true);
    this.#lanes.clear();
  }

  /**
   * Fly no more what a `delete` or `clear` means.
   * @param {{t: string, seq: number, target?: number, uid?: string}} event
   */
  remove(event) {
    this.removeIf((message) => means(event, message));
  }

  /** @param {(message: Message) => boolean} meant */
  removeIf(meant) {
    this.#queue.remove(({ message }) => meant(message));
    this.fliers.remove(({ line }) => meant(line.message));
  }

  /** Numbers began anew: what flies has none any more. */
  renumber() {
    const lines = [...this.#queue.items, ...this.fliers.all.map(({ line }) => line)];
    for (const line of lines) line.message = { ...line.message, seq: NaN };
  }

  /**
   * Offer a message. A hidden page flies nothing: nobody would see it, and it would all pile up.
   * @param {Message} message
   * @param {boolean} own
   */
  offer(message, own) {
    if (this.#off || document.hidden) return;
    const line = lineOf(message, own);
    if (!this.#clock.rate && !line.first) return;
    const now = performance.now();
    this.missed(this.#queue.add({ ...line, px: 0, at: this.#clock.at(now) }));
    this.#schedule();
  }

  /** So many were left out. @param {number} count */
  missed(count) {
    if (count) this.#tally.leave(performance.now(), count);
  }

  destroy() {
    this.#ended.abort();
    this.#observer.disconnect();
    clearInterval(this.#timer);
    this.set({ on: false });
    this.#note.remove();
  }

  get #off() {
    return !this.#look.on || (this.#calm.matches && this.#look.still === "off");
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame((now) => this.#frame(now));
  }

  /** @param {number} now */
  #frame(now) {
    this.#scheduled = false;
    const at = this.#clock.at(now);
    if (this.#clock.rate) {
      this.#pace.hurry(at, this.#queue.pressure(at));
      this.missed(this.#queue.serve(at, (item) => this.#launch(item, now, at)));
    }
    this.fliers.settle(now);
    this.#publish();
    if ((this.#queue.size && this.#clock.rate) || this.fliers.hurrying) this.#schedule();
  }

  /**
   * @param {Item} item
   * @param {number} now
   * @param {number} at
   */
  #launch(item, now, at) {
    if (this.fliers.size >= MOST_FLYING + (item.first ? RESERVED : 0)) return false;
    const width = item.width ?? this.#measure(item);
    const height = Math.ceil(item.px * LINE) + PADDING_PX[item.look][1];
    const modes = this.#calm.matches && item.mode !== "bottom" ? ["top", "bottom"] : [item.mode];
    const flew = modes.some((mode) => (mode === "top" || mode === "bottom"
      ? this.#stand({ ...item, mode }, now, at, { width, height })
      : this.#fly(item, now, at, { width, height })));
    if (flew) this.#tally.flew(performance.now());
    return flew;
  }

  /**
   * Text width in px; what stands still is made to fit the stage, and nothing is taller than it.
   * @param {Item} item
   */
  #measure(item) {
    const padding = 2 * PADDING_PX[item.look][0];
    const widest = this.#width * 0.94 - padding;
    item.px = Math.max(8, Math.round(Math.min(item.size * this.#scale, this.#height / LINE / 2)));
    this.#pen.font = `bold ${item.px}px ${this.#family}`;
    const { width } = this.#pen.measureText(item.who + item.text);
    item.width = Math.ceil(width + padding);
    const stands = this.#calm.matches || item.mode === "top" || item.mode === "bottom";
    if (stands && width > widest) {
      item.px = Math.max(8, Math.floor((item.px * widest) / width));
      item.width = Math.ceil(widest + padding);
    }
    return item.width;
  }

  /**
   * @param {Item} item
   * @param {number} now
   * @param {number} at
   * @param {{width: number, height: number}} box
   */
  #fly(item, now, at, { width, height }) {
    const reverse = item.mode === "reverse";
    const duration = this.#pace.duration(width, this.#width);
    const gap = width * (1 / this.#look.density - 1);
    const y = this.#lanes.fly(at, { width, height, duration, gap, reverse, first: item.first });
    if (y < 0) return false;
    const path = [move(this.#width, y), move(-width, y)];
    if (reverse) path.reverse();
    this.#show(item, now, path, { duration, easing: "linear" });
    return true;
  }

  /**
   * @param {Item} item
   * @param {number} now
   * @param {number} at
   * @param {{width: number, height: number}} box
   */
  #stand(item, now, at, { width, height }) {
    const edge = this.#lanes.stand(at, { height, hold: HOLD_MS, bottom: item.mode === "bottom" });
    if (edge < 0) return false;
    const stands = { width, height, edge };
    this.#show(item, now, this.#place(item.mode, stands), { duration: HOLD_MS }, stands);
    return true;
  }

  /**
   * @param {string} mode
   * @param {{width: number, height: number, edge: number}} stands
   */
  #place(mode, { width, height, edge }) {
    const y = mode === "bottom" ? this.#height - edge - height : edge;
    return FADE.map((step) => ({ ...step, ...move((this.#width - width) / 2, y) }));
  }

  /**
   * @param {Item} item
   * @param {number} now
   * @param {Keyframe[]} path
   * @param {KeyframeAnimationOptions} timing
   * @param {import("./fliers.js").Flier["stands"]} [stands]
   */
  #show(item, now, path, timing, stands) {
    this.fliers.show(item, now, path, timing, stands);
    this.#stage.dataset.last = item.text;
  }

  #publish() {
    this.#stage.dataset.flying = String(this.fliers.size);
    this.#stage.dataset.dropped = String(this.#tally.left_out);
  }

  /** Say the share that is left out, if it has changed. */
  #tell() {
    const { share } = this.stats;
    if (share === this.#shared) return;
    this.#shared = share;
    this.#note.hidden = share < 0.005;
    this.#note.textContent = this.words(share);
    this.onshare();
  }

  /** Lines in flight go on as they did; those that stand keep their place. */
  #resize() {
    const { clientWidth: width, clientHeight: height } = this.#sky;
    const other = width !== this.#width || height !== this.#height;
    this.#width = width;
    this.#height = height;
    this.#scale = Math.min(1.5, Math.max(0.62, width / REFERENCE_PX)) * this.#look.size;
    this.#lanes.resize(width, height * this.#look.area);
    if (!other) return;
    for (const { animation, line, stands } of this.fliers.all) {
      const effect = /** @type {KeyframeEffect} */ (animation.effect);
      if (stands) effect.setKeyframes(this.#place(line.mode, stands));
    }
  }
}

/**
 * @param {number} x
 * @param {number} y
 */
function move(x, y) {
  return { transform: `translate3d(${x}px, ${y}px, 0)` };
}

/** @param {number} share */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}
