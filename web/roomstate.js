/* A room's rules as its viewers are to see them, and what of them concerns this viewer just now.
 *
 * Rule: pure; time comes in, in milliseconds, lines come out. A `state` is whole, so the last one is
 * all there is. When one's mute ends is told on joining, when it is made or lifted, and by whatever
 * is refused because of it.
 */

import { rank } from "../clients/js/src/index.js";

const ROLES = new Set(["guest", "user", "vip", "moderator", "owner", "admin"]);

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

  /** Whether one's role is too low to type here. */
  get barred() {
    return rank(this.#role) < rank(this.#rules.min_role ?? "guest");
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

  /** Seconds until one may type again; 0: now, or nobody knows when. */
  wait(now) {
    return Math.max(0, Math.ceil((Math.max(this.#slowUntil, this.#mutedUntil ?? 0) - now) / 1000));
  }

  /** What is to be shown: {kind, say} with a key and its values or {kind, text} with somebody's words,
   *  and `seconds` that count down. */
  lines(now) {
    const { announcement, pinned, slow_s: slow, silence = "none", min_role: least = "guest" } = this.#rules;
    const lines = [];
    const add = (line, until = 0) => {
      lines.push(until > now ? { ...line, seconds: Math.ceil((until - now) / 1000) } : line);
    };
    const rule = (kind, key, values) => ({ kind, say: [`rule.${key}`, values] });
    if (this.#mutedUntil === 0) add(rule("muted", "muted"));
    else if (this.#mutedUntil > now) add(rule("muted", "muted"), this.#mutedUntil);
    if (announcement) add({ kind: "announcement", text: announcement });
    if (pinned) add({ kind: "pinned", text: `${pinned.name ?? pinned.uid}: ${pinned.text}` });
    if (silence === "all") add(rule("silence", "silence"));
    else if (silence !== "none") add(rule("silence", "silence.below", { roles: plural(silence) }));
    if (least !== "guest") add(rule("silence", "least", { roles: plural(least) }));
    if (slow) add(rule("slow", "slow", { time: { seconds: slow } }), this.#slowUntil);
    return lines;
  }
}

function plural(role) {
  return ROLES.has(role) ? { key: `roles.${role}` } : role;
}
