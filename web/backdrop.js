/* A night lake where a video would be: sky, ridges, water, lanterns rising.
 *
 * Rule: decoration. What never changes is painted once per size; a frame copies that picture and adds
 * the few things that move, FRAMES_PER_S times a second, and none while hidden or when the reader
 * asked for less motion.
 */

const FRAMES_PER_S = 24;
const WIDEST_PX = 1280; // beyond this a soft scene gains nothing from more pixels
const HORIZON = 0.69;
const STARS = 130;
const LANTERNS = 16;
const GLINTS = 90;

const SKY = [[0, "#060a1c"], [0.3, "#10173d"], [0.52, "#2b2459"], [0.64, "#5d356f"], [0.69, "#a2566f"]];
const WATER = [[0, "#7d4768"], [0.1, "#43305f"], [0.42, "#181a3f"], [1, "#070a1a"]];
const RIDGES = [
  { base: 0.60, rise: 0.12, waves: [[1.7, 0.4], [4.1, 1.9], [9.3, 4.2]], color: "#413063" },
  { base: 0.645, rise: 0.09, waves: [[2.3, 2.6], [5.9, 0.7], [13.1, 3.3]], color: "#281f4a" },
  { base: 0.685, rise: 0.065, waves: [[1.3, 5.1], [7.7, 2.2], [19.7, 1.1]], color: "#12122e" },
];

/** A repeatable stream of 0..1, so the scene is the same on every visit. */
function dice(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export class Backdrop {
  #canvas;
  #pen;
  #still = document.createElement("canvas");
  #glow = lanternSprite();
  #lanterns;
  #stars;
  #glints;
  #drawnAt = -Infinity;
  #ended = false;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    const random = dice(20);
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d", { alpha: false });
    this.#stars = Array.from({ length: STARS }, () => [random(), random() ** 1.5 * 0.55, random()]);
    this.#lanterns = Array.from({ length: LANTERNS }, () => [random(), random(), random()]);
    this.#glints = Array.from({ length: GLINTS }, () => [random(), random(), random()]);
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
    this.#calm.addEventListener("change", () => this.#next());
    this.#next();
  }

  #next() {
    if (!this.#calm.matches && !this.#ended) requestAnimationFrame((now) => this.#frame(now));
  }

  /** Something else is shown there. */
  end() {
    this.#ended = true;
    this.#canvas.hidden = true;
  }

  #frame(now) {
    this.#next();
    if (now - this.#drawnAt < 1000 / FRAMES_PER_S - 4) return;
    this.#drawnAt = now;
    this.#draw(now / 1000);
  }

  #resize() {
    const width = Math.min(WIDEST_PX, this.#canvas.clientWidth * Math.min(devicePixelRatio, 2));
    const height = (width * this.#canvas.clientHeight) / Math.max(1, this.#canvas.clientWidth);
    for (const canvas of [this.#canvas, this.#still]) {
      canvas.width = Math.max(1, Math.round(width));
      canvas.height = Math.max(1, Math.round(height));
    }
    this.#paintStill();
    this.#draw(0);
  }

  #paintStill() {
    const pen = this.#still.getContext("2d");
    const { width, height } = this.#still;
    const lake = HORIZON * height;
    band(pen, 0, lake + 1, SKY.map(([at, color]) => [at / HORIZON, color]), width);
    this.#paintMoon(pen, width * 0.74, height * 0.23, height * 0.052);
    for (const ridge of RIDGES) paintRidge(pen, ridge, width, height);
    band(pen, lake, height - lake, WATER, width);
  }

  #paintMoon(pen, x, y, radius) {
    const halo = pen.createRadialGradient(x, y, radius, x, y, radius * 7);
    halo.addColorStop(0, "rgba(255, 226, 214, .30)");
    halo.addColorStop(0.3, "rgba(222, 180, 220, .10)");
    halo.addColorStop(1, "rgba(160, 140, 220, 0)");
    pen.fillStyle = halo;
    pen.fillRect(x - radius * 7, y - radius * 7, radius * 14, radius * 14);
    pen.fillStyle = "#ffeadd";
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.fill();
  }

  #draw(seconds) {
    const pen = this.#pen;
    const { width, height } = this.#canvas;
    pen.drawImage(this.#still, 0, 0);
    this.#drawStars(pen, width, height, seconds);
    this.#drawGlints(pen, width, height, seconds);
    this.#drawLanterns(pen, width, height, seconds);
    pen.globalAlpha = 1;
  }

  #drawStars(pen, width, height, seconds) {
    pen.fillStyle = "#fff";
    for (const [x, y, phase] of this.#stars) {
      const size = (0.6 + phase) * (width / 900);
      pen.globalAlpha = 0.35 + 0.3 * Math.sin(seconds * (0.5 + phase) + phase * 40);
      pen.fillRect(x * width, y * height, size, size);
    }
  }

  /** Light on the water: denser and brighter below the moon, wider towards us. */
  #drawGlints(pen, width, height, seconds) {
    for (const [across, depth, phase] of this.#glints) {
      const near = depth * depth;
      const spread = phase < 0.6 ? 0.05 + near * 0.1 : 0.9;
      const x = 0.74 + (across - 0.5) * spread * 2;
      const y = HORIZON + 0.008 + near * (0.96 - HORIZON);
      const length = width * (0.008 + near * 0.045) * (0.6 + phase);
      const shine = 0.5 + 0.5 * Math.sin(seconds * (0.8 + phase) + phase * 60);
      pen.globalAlpha = shine * (phase < 0.6 ? 0.34 : 0.1) * (1 - near * 0.5);
      pen.fillStyle = "#ffd9c8";
      pen.fillRect(x * width - length / 2, y * height, length, Math.max(1, height * 0.0035));
    }
  }

  #drawLanterns(pen, width, height, seconds) {
    for (const [start, phase, depth] of this.#lanterns) {
      const life = (phase + seconds * (0.006 + depth * 0.006)) % 1;
      const size = height * (0.035 + depth * 0.07);
      const sway = Math.sin(seconds * 0.3 + phase * 20) * 0.012;
      const x = (start + life * 0.12 * (start > 0.5 ? -1 : 1) + sway) * width;
      const y = (HORIZON + 0.02 - life * (HORIZON + 0.1)) * height;
      pen.globalAlpha = Math.min(1, life * 8) * (0.5 + depth * 0.5);
      pen.drawImage(this.#glow, x - size / 2, y - size / 2, size, size);
      const mirrored = (2 * HORIZON + 0.02) * height - y;
      if (mirrored > height * 1.05) continue;
      pen.globalAlpha *= 0.22;
      pen.drawImage(this.#glow, x - size / 2, mirrored - size * 0.7, size, size * 1.4);
    }
  }
}

function band(pen, top, height, stops, width) {
  const fill = pen.createLinearGradient(0, top, 0, top + height);
  for (const [at, color] of stops) fill.addColorStop(at, color);
  pen.fillStyle = fill;
  pen.fillRect(0, top, width, height);
}

function paintRidge(pen, { base, rise, waves, color }, width, height) {
  pen.fillStyle = color;
  pen.beginPath();
  pen.moveTo(0, height);
  for (let x = 0; x <= width; x += 2) {
    const angle = (x / width) * Math.PI;
    const lifts = waves.map(([rate, shift], nth) => Math.sin(angle * rate + shift) / 2 ** nth);
    const lift = lifts.reduce((sum, part) => sum + part);
    pen.lineTo(x, (base - (rise * (lift + 1.2)) / 3) * height);
  }
  pen.lineTo(width, height);
  pen.fill();
}

function lanternSprite() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 96;
  const pen = canvas.getContext("2d");
  const glow = pen.createRadialGradient(48, 48, 4, 48, 48, 48);
  glow.addColorStop(0, "rgba(255, 196, 120, .75)");
  glow.addColorStop(0.25, "rgba(255, 150, 80, .28)");
  glow.addColorStop(1, "rgba(255, 120, 80, 0)");
  pen.fillStyle = glow;
  pen.fillRect(0, 0, 96, 96);
  const paper = pen.createLinearGradient(0, 36, 0, 62);
  paper.addColorStop(0, "#ff9d5c");
  paper.addColorStop(1, "#fff0bf");
  pen.fillStyle = paper;
  pen.beginPath();
  pen.roundRect(39, 35, 18, 26, [8, 8, 4, 4]);
  pen.fill();
  return canvas;
}
