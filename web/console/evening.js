/* What the stream has told so far: the last figures, and those of the last two minutes.
 *
 * Rule: pure; the views read it. A node that was there and is not told of any more is kept as gone for
 * GONE_MS, also over a new stream: that is what there is to see of one that was stopped.
 */

import { Series, summed } from "./series.js";

const GONE_MS = 15 * 60_000;

export class Evening {
  constructor() {
    this._seen = new Map();
    this.forget();
  }

  /** The stream begins anew: rates of before say nothing of now. */
  forget() {
    Object.assign(this, { nodes: null, rooms: null, sum: null, bus: true });
    Object.assign(this, { series: new Series(), online: new Series(), _seqs: new Map(), _lines: new Map() });
  }

  /** An event; `now` in milliseconds. */
  hear(name, data, now) {
    if (name === "nodes") this._hearNodes(data, now);
    else if (name === "rooms") this._hearRooms(data.rooms, now);
  }

  _hearNodes({ nodes, bus }, now) {
    // While Redis is away nobody knows of the others.
    if (bus) this._see(nodes, now);
    const sum = summed(nodes);
    // A reason that was there stays, at nothing, for as long as its line shows something.
    const before = Object.keys(this.sum?.reasons ?? {});
    const quiet = before.filter((name) => this.series.of(`reasons ${name}`).some(Boolean));
    sum.reasons = { ...Object.fromEntries(quiet.map((name) => [name, 0])), ...sum.reasons };
    Object.assign(this, { nodes, bus, sum });
    const { reasons, ...figures } = sum;
    for (const [name, value] of Object.entries(reasons)) figures[`reasons ${name}`] = value;
    this.series.add(figures);
  }

  _see(nodes, now) {
    for (const { node } of nodes) this._seen.set(node, { node, last: now });
    for (const [node, { last }] of this._seen) if (now - last > GONE_MS) this._seen.delete(node);
  }

  /** Nodes that are not there any more, each with when it last was. */
  gone() {
    const there = new Set(this.nodes?.map(({ node }) => node));
    return this.bus ? [...this._seen.values()].filter(({ node }) => !there.has(node)) : [];
  }

  _hearRooms(rooms, now) {
    this.rooms = rooms;
    const seqs = new Map();
    for (const { room, seq } of rooms) {
      const before = this._seqs.get(room);
      const seconds = before ? (now - before.now) / 1000 : 0;
      this._lines.set(room, seconds > 0 ? Math.max(seq - before.seq, 0) / seconds : 0);
      seqs.set(room, { seq, now });
    }
    for (const room of this._lines.keys()) if (!seqs.has(room)) this._lines.delete(room);
    this._seqs = seqs;
    this.online.add(Object.fromEntries(rooms.map(({ room, online }) => [room, online])));
  }

  /** A room's lines a second. */
  lines(room) {
    return this._lines.get(room) ?? 0;
  }
}
