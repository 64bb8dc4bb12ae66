/* The HTTP API as the console calls it: beside the console's own address, with the key.
 *
 * Rule: the key is in the tab only (sessionStorage) and in a header only: in no address, no log, no
 * history. What the server refuses is a Refused with its code, its words and the fields they are about.
 */

const KEPT = "danmaku-console-key";
const PATIENCE_MS = 20_000;

export class Refused extends Error {
  constructor(status, { code = "", message = "", problems = [], retry_after: retryAfter } = {}) {
    super(message || `HTTP ${status}`);
    this.status = status;
    this.code = code;
    this.problems = problems;
    this.retryAfter = retryAfter;
  }
}

/** Nobody answered: the network, or the server is away. */
export class Away extends Error {}

export class Api {
  /** `location` is where the console is; all addresses are beside that. */
  constructor(location, storage = sessionStorage, fetch = globalThis.fetch.bind(globalThis)) {
    this._base = new URL("v1/", new URL("./", location.href));
    this._storage = storage;
    this._fetch = fetch;
    this.key = read(storage);
  }

  keep(key) {
    this.key = key;
    try {
      if (key) this._storage.setItem(KEPT, key);
      else this._storage.removeItem(KEPT);
    } catch {
      // a browser that keeps nothing: the key lasts as long as this page
    }
  }

  get(path) {
    return this.call("GET", path);
  }

  /** What is answered, as an object. Throws Refused or Away. */
  async call(method, path, body) {
    const answer = await this.open(method, path, body, AbortSignal.timeout(PATIENCE_MS));
    try {
      return await answer.json();
    } catch {
      throw new Away("the answer did not come whole");
    }
  }

  /** A response that was not refused. Throws Refused or Away. */
  async open(method, path, body, signal) {
    const headers = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let answer;
    try {
      const sent = body === undefined ? undefined : JSON.stringify(body);
      const options = { method, headers, body: sent, signal, cache: "no-store", redirect: "error" };
      answer = await this._fetch(new URL(path, this._base), options);
    } catch (error) {
      throw new Away(String(error?.message ?? error));
    }
    if (answer.ok) return answer;
    throw new Refused(answer.status, (await answer.json().catch(() => ({}))).error);
  }
}

function read(storage) {
  try {
    return storage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

/** A path of parts, each of which may have anything in it. */
export function path(...parts) {
  return parts.map(encodeURIComponent).join("/");
}

/** Whether a key can stand in a header. */
export function isKey(text) {
  return /^[\x21-\x7e]+$/u.test(text);
}
