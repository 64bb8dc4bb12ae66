/* Figures of the last minutes, and how they are drawn and written.
 *
 * Rule: pure but for `spark`, which makes an SVG: no library, nothing that moves. A sum of nodes is
 * made here; the server sends each node's.
 */

const KEPT = 60;
const SVG = "http://www.w3.org/2000/svg";

/** The last figures under each name. */
export class Series {
  constructor() {
    this._values = new Map();
  }

  /** Add a figure to each name that is there; the others are gone. */
  add(figures) {
    const before = this._values;
    this._values = new Map();
    for (const [name, value] of Object.entries(figures)) {
      this._values.set(name, [...(before.get(name) ?? []), value].slice(-KEPT));
    }
  }

  of(name) {
    return this._values.get(name) ?? [];
  }
}

/** All nodes together: shards' gauges and rates summed, reasons too. */
export function summed(nodes) {
  const sum = { connections: 0, slow_readers: 0, reasons: {} };
  for (const { shards, rates } of nodes) {
    for (const shard of shards) {
      sum.connections += shard.connections;
      sum.slow_readers += shard.slow_readers;
    }
    for (const [name, value] of Object.entries(rates)) {
      if (typeof value === "number") sum[name] = (sum[name] ?? 0) + value;
      else addReasons(sum, name, value);
    }
  }
  return sum;
}

function addReasons(sum, name, reasons) {
  sum[name] ??= 0;
  for (const [reason, value] of Object.entries(reasons)) {
    sum[name] += value;
    const full = `${name}.${reason}`;
    sum.reasons[full] = (sum.reasons[full] ?? 0) + value;
  }
}

/** The line through some figures, from nothing to the largest, in a box of 100 by 24. */
export function points(values) {
  const top = Math.max(...values, 1e-9);
  const step = 100 / Math.max(values.length - 1, 1);
  return values.map((value, i) => `${(i * step).toFixed(1)},${(23 - 22 * (value / top)).toFixed(1)}`).join(" ");
}

/** A small picture of figures; beside the number, which is what is read out. */
export function spark() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 24");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "polyline");
  svg.append(line);
  svg.draw = (values) => line.setAttribute("points", values.length > 1 ? points(values) : "");
  return svg;
}

/** A number as people read it: 7, 0.5, 1,234, 1.2M. */
export function told(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e5) return `${Math.round(value / 1e3)}k`;
  if (value >= 10 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return value.toFixed(1);
}

export function toldBytes(value) {
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} GB`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} MB`;
  return value >= 1e3 ? `${Math.round(value / 1e3)} KB` : `${Math.round(value)} B`;
}
