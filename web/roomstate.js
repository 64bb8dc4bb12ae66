/* A room's rules as its viewers are to see them, and what of them concerns this viewer just now.
 *
 * Rule: pure; time comes in, in milliseconds, lines come out. A `state` is whole, so the last one is
 * all there is. When one's mute ends is told on joining, when it is made or lifted, and by whatever
 * is refused because of it.
 */

import { rank } from "../clients/js/src/index.js";

export class RoomState {
  #rules = {};
  #role = "guest";
  #mutedUntil = null; // 0: for good
  #slowUntil = 0;

  set role(role) {
    this.#role = role;
  }

  /** The seq of the message that is pinned. */
  get pinned() {
    return this.#rules.pinned?.seq;
  }

  /** Another room, of which nothing is known yet. */
  clear() {
    this.#rules = {};
    this.#mutedUntil = null;
    this.#slowUntil = 0;
  }

  /** A `joined` came: its rules say whether one is muted, until when by the wall clock. */
  joined(rules, now, wall) {
    this.muted(rules.muted_until, now, wall);
    this.ruled(rules);
  }

  /** One is muted until then by the wall clock, 0 for good; or, by nothing, not any more. */
  muted(until, now, wall) {
    this.#mutedUntil = until ? now + until - wall : (until ?? null);
  }

  ruled(rules) {
    this.#rules = rules;
    if (!rules.slow_s) this.#slowUntil = 0;
  }

  /** One's own message was acknowledged. */
  spoke(now) {
    this.#mutedUntil = null;
    const slowed = this.#rules.slow_s && rank(this.#role) < rank("vip");
    if (slowed) this.#slowUntil = now + this.#rules.slow_s * 1000;
  }

  /** One's own message was refused. */
  refused({ code, retry_after: retryAfter }, now) {
    const until = retryAfter === undefined ? 0 : now + retryAfter * 1000;
    if (code === "muted") this.#mutedUntil = until;
    if (code === "slow_mode") this.#slowUntil = until;
  }

  /** What is to be shown: {kind, text, seconds?}, the last counting down. */
  lines(now) {
    const { announcement, pinned, slow_s: slow, silence = "none", min_role: least = "guest" } = this.#rules;
    const lines = [];
    const add = (kind, text, until = 0) => {
      lines.push(until > now ? { kind, text, seconds: Math.ceil((until - now) / 1000) } : { kind, text });
    };
    if (this.#mutedUntil === 0) add("muted", "You are muted here.");
    else if (this.#mutedUntil > now) add("muted", "You are muted here.", this.#mutedUntil);
    if (announcement) add("announcement", announcement);
    if (pinned) add("pinned", `${pinned.name ?? pinned.uid}: ${pinned.text}`);
    if (silence === "all") add("silence", "Only moderators may type just now.");
    else if (silence !== "none") add("silence", `Only ${plural(silence)} and above may type just now.`);
    if (least !== "guest") add("silence", `Only ${plural(least)} and above may type here.`);
    if (slow) add("slow", `Slow mode: a message every ${duration(slow)}.`, this.#slowUntil);
    return lines;
  }
}

function plural(role) {
  return role === "vip" ? "VIPs" : `${role}s`;
}

/** Seconds in words: 90 is "90 s", 120 is "2 min", 7200 is "2 h". */
export function duration(seconds) {
  if (seconds >= 3600 && seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds >= 60 && seconds % 60 === 0) return `${seconds / 60} min`;
  return `${seconds} s`;
}
