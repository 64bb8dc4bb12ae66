/* A live stream, followed for as long as somebody looks: it comes back by itself.
 *
 * Rule: EventSource cannot send a key, so the body of a fetch is read. A stream that says nothing for
 * QUIET_MS is dead, whatever its connection says. Between tries the wait grows, with chance in it, so
 * that many consoles do not come back at once; what the server names counts more.
 */

import { Refused } from "./api.js";
import { EventReader } from "./events.js";

const QUIET_MS = 12_000;
const FIRST_MS = 500;
const LONGEST_MS = 10_000;

export class Live {
  /** `heard(name, data)` is called for each event, `changed({state, error})` when the state does:
   *  connecting, open, waiting (until the next try), or refused, which is the end. */
  constructor(api, path, { heard, changed = () => {} }) {
    Object.assign(this, { _api: api, _path: path, _heard: heard, _changed: changed });
    this._over = false;
    this._tries = 0;
    this._stop = () => {};
    this._run();
  }

  close() {
    this._over = true;
    this._stop();
  }

  async _run() {
    while (!this._over) {
      this._tell("connecting");
      const error = await this._follow().catch((problem) => problem);
      if (this._over) return;
      if (error instanceof Refused && [400, 401, 403, 404].includes(error.status)) {
        this._tell("refused", error);
        return;
      }
      this._tell("waiting", error);
      await this._wait(error);
    }
  }

  _tell(state, error) {
    this._changed({ state, error });
  }

  async _follow() {
    const ended = new AbortController();
    let quiet = setTimeout(() => ended.abort(), QUIET_MS);
    this._stop = () => ended.abort();
    try {
      const answer = await this._api.open("GET", this._path, undefined, ended.signal);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const events = new EventReader();
      this._tell("open");
      for (;;) {
        const { value, done } = await reader.read();
        if (done || this._over) return undefined;
        this._tries = 0;
        clearTimeout(quiet);
        quiet = setTimeout(() => ended.abort(), QUIET_MS);
        for (const [name, data] of events.read(value)) this._heard(name, data);
      }
    } finally {
      clearTimeout(quiet);
      ended.abort();
    }
  }

  _wait(error) {
    const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** this._tries++);
    const named = error instanceof Refused ? (error.retryAfter ?? 0) * 1000 : 0;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, named + Math.random() * most);
      this._stop = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
