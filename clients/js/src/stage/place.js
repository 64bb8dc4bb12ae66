/* Where the stage is: over a video, or in a box.
 *
 * Rule: the page's layout stays as it is. A video is not moved, wrapped or given a style: the stage is
 * laid over it, beside it in the tree, and follows it. In a box it is a last child; a box that is not
 * positioned becomes it. All styles are set through CSSOM, which no page's policy forbids.
 * Fullscreen is its parent's, which the video fills as long as that lasts. It may go fullscreen alone, by
 * its own controls: the stage is then a popover, above it in the browser's top layer, where lines are seen
 * but cannot be clicked.
 */

import { bad } from "./filters.js";

const TOP = 2 ** 31 - 2;
const FILLED = {
  position: "fixed", inset: "0", width: "100%", height: "100%", "max-width": "none", "max-height": "none",
  margin: "0", "object-fit": "contain", background: "#000", "z-index": String(TOP),
};
const LOOK_MS = 250; // what is above a video may have grown, which nothing tells

export class Place {
  host = document.createElement("div");
  /** @type {HTMLVideoElement | undefined} */
  video;
  #element;
  #unposition = () => {};
  #ended = new AbortController();
  #observer = new ResizeObserver(() => this.#follow());
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #unfill = () => {};
  #where = { left: 0, top: 0, width: 0, height: 0 };

  /** @param {HTMLElement} element */
  constructor(element) {
    if (!(element instanceof HTMLElement)) throw bad("there is no element to mount on");
    this.#element = element;
    this.host.className = "danmaku-stage";
    this.host.attachShadow({ mode: "open" });
    if (element instanceof HTMLVideoElement) this.#over(element);
    else this.#in(element);
  }

  get #tree() {
    return /** @type {Document | ShadowRoot} */ (this.#element.getRootNode());
  }

  /** Into fullscreen with the stage on top, or out of it. */
  async fullscreen() {
    if (this.#tree.fullscreenElement) return document.exitFullscreen();
    const { video } = this;
    const parent = video?.parentElement;
    if (!video || !parent) return this.#element.requestFullscreen();
    await parent.requestFullscreen();
    const restore = styled(video);
    for (const [name, value] of Object.entries(FILLED)) video.style.setProperty(name, value, "important");
    this.host.style.setProperty("--danmaku-z", String(TOP + 1));
    this.#unfill = () => {
      this.#unfill = () => {};
      restore();
      this.host.style.removeProperty("--danmaku-z");
    };
  }

  destroy() {
    this.#ended.abort();
    this.#unfill();
    this.#observer.disconnect();
    clearInterval(this.#timer);
    this.host.remove();
    this.#unposition();
  }

  /** @param {HTMLElement} box */
  #in(box) {
    if (getComputedStyle(box).position === "static") {
      this.#unposition = styled(box);
      box.style.setProperty("position", "relative");
    }
    box.append(this.host);
  }

  /** @param {HTMLVideoElement} video */
  #over(video) {
    if (!video.parentNode) throw bad("the video is in no page yet");
    this.video = video;
    video.after(this.host);
    this.#observer.observe(video);
    const { signal } = this.#ended;
    const follow = () => this.#follow();
    window.addEventListener("resize", follow, { signal });
    document.addEventListener("scroll", follow, { signal, capture: true, passive: true });
    document.addEventListener("fullscreenchange", () => this.#full(), { signal });
    this.#timer = setInterval(follow, LOOK_MS);
    follow();
  }

  #follow() {
    const { host, video } = this;
    if (!video || "over" in host.dataset || document.hidden) return;
    const [here, there] = [host.getBoundingClientRect(), video.getBoundingClientRect()];
    const { offsetWidth: width, offsetHeight: height } = video;
    const scale = width ? there.width / width : 1; // an ancestor may be scaled
    const { left, top } = this.#where;
    this.#where = {
      left: quarters(left + (there.left - here.left) / scale), top: quarters(top + (there.top - here.top) / scale),
      width, height,
    };
    for (const [name, px] of Object.entries(this.#where)) host.style.setProperty(`--danmaku-${name}`, `${px}px`);
  }

  #full() {
    const { host, video } = this;
    if (!this.#tree.fullscreenElement) this.#unfill();
    const over = this.#tree.fullscreenElement === video;
    if (over === "over" in host.dataset || !("popover" in host)) return;
    if (over) {
      host.dataset.over = "";
      host.popover = "manual";
      host.showPopover();
    } else {
      host.hidePopover();
      host.popover = null;
      delete host.dataset.over;
      this.#follow();
    }
  }
}

/**
 * What gives an element back the styles of its own that it has now.
 * @param {HTMLElement} element
 */
function styled(element) {
  const before = element.getAttribute("style");
  return () => {
    element.style.cssText = before ?? "";
    // Chromium has an empty attribute left where nobody has asked for it before it is removed.
    if (before === null && element.hasAttribute("style")) element.removeAttribute("style");
  };
}

/** So that what is the same stays the same. @param {number} px */
function quarters(px) {
  return Math.round(px * 4) / 4;
}
