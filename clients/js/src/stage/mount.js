/* Danmaku over any video or box: a room's messages, the stage they fly on, and what a viewer may do.
 *
 * Rule: wiring only. Whatever is made here is taken away by `destroy`, and nothing is left of it.
 */

import { connect } from "../index.js";
import { Listeners } from "../events.js";
import { actionsFor } from "./actions.js";
import { bad, blocks } from "./filters.js";
import { follow } from "./follow.js";
import { Hands } from "./hands.js";
import { Log } from "./log.js";
import { isLook, looked } from "./look.js";
import { lineOf } from "./line.js";
import { Menu } from "./menu.js";
import { Place } from "./place.js";
import { Stage, percent } from "./stage.js";
import { MOUNTED, adopt } from "./style.js";
import { wordsFor } from "./words.js";

/** @import { Client } from "../client.js" */
/** @import { Message } from "../types.js" */
/** @import { Action } from "./actions.js" */
/** @import { Look, Mounted, MountOptions, StageEvents } from "./types.js" */

const FRESH_MS = 5000; // of what was said before one came, the newest fly
const TOLD_MS = 4000;
const CLIENTS = ["token", "guest", "name", "queue", "codec", "WebSocket", "env"];
const OURS = ["url", "room", "client", "filters", "menu", "log", "note", "follow", "lang"];
const mounted = new WeakSet();

/**
 * Have a room's danmaku fly over a `<video>`, or in any box.
 * Throws a DanmakuError `bad_option` where an option is none, or there is no such element.
 * @param {HTMLElement} element
 * @param {MountOptions} options
 * @returns {Mounted}
 */
export function mount(element, options) {
  const { look, client: given, of } = sorted(options);
  if (mounted.has(element)) throw bad("there is a stage on it already");
  const client = given ?? connect(/** @type {string} */ (options.url), { ...of, rooms: [options.room] });
  const overlay = new Overlay(element, { ...options, client }, look);
  const joined = given && !given.rooms.includes(options.room);
  if (joined) given.join(options.room);
  mounted.add(element);
  return {
    client,
    get stats() {
      return overlay.stats;
    },
    get left_out() {
      return overlay.stats.share;
    },
    set: (change) => overlay.set(change),
    send: (text, style) => client.send(options.room, text, style),
    hide: (uid) => overlay.hide(uid),
    unhide: (uid) => overlay.unhide(uid),
    fullscreen: () => overlay.fullscreen(),
    on: (name, listener) => overlay.on(name, listener),
    destroy() {
      if (!mounted.delete(element)) return;
      overlay.destroy();
      if (!given) client.close();
      else if (joined) client.leave(options.room);
    },
  };
}

/**
 * The options, by whose they are; what is wrong with them is thrown.
 * @param {MountOptions} options
 */
function sorted(options) {
  const [look, of] = /** @type {Record<string, unknown>[]} */ ([{}, {}]);
  for (const [name, value] of Object.entries(options)) {
    if (isLook(name)) Object.assign(look, { [name]: value });
    else if (CLIENTS.includes(name)) Object.assign(of, { [name]: value });
    else if (!OURS.includes(name)) throw bad(`there is no option ${name}`);
  }
  const { client, url, room } = options;
  if (!room) throw bad("room is missing");
  if (!client === !url) throw bad("give a url, or a client");
  looked(look);
  return { look, of, client };
}

class Overlay {
  #room;
  #client;
  #options;
  #filters;
  /** @type {Set<string>} */
  #hidden = new Set();
  #blocks = blocks();
  #filtered = 0;
  #role = "guest"; // everywhere
  /** @type {string | undefined} */
  #roleHere; // in the room, where it is another
  #words;
  #place;
  #root;
  #stage;
  /** @type {Listeners<any>} */
  #listeners = new Listeners();
  #told = document.createElement("p");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #toldTimer;
  /** @type {(() => void)[]} */
  #ends = [];
  /** @type {Log | undefined} */
  #log;

  /**
   * @param {HTMLElement} element
   * @param {MountOptions & {client: Client}} options
   * @param {Partial<Look>} look
   */
  constructor(element, options, look) {
    const { room, client, filters = {}, menu = true, log = true, note = true, lang } = options;
    this.#room = room;
    this.#client = client;
    this.#options = options;
    this.#filters = filters;
    this.#filter();
    this.#words = wordsFor(lang, element.closest?.("[lang]")?.getAttribute("lang") ?? "", navigator.language);
    this.#place = new Place(element);
    const { host, video } = this.#place;
    this.#root = /** @type {ShadowRoot} */ (host.shadowRoot);
    adopt(this.#root, MOUNTED);
    const sky = document.createElement("div");
    sky.className = video?.controls ? "sky low" : "sky";
    sky.setAttribute("aria-hidden", "true"); // the log, or a chat beside, says it in an order
    this.#told.className = "told";
    this.#told.setAttribute("role", "status");
    this.#root.append(sky, this.#told);
    this.#stage = new Stage({ stage: host, sky, note });
    this.#stage.words = (share) => this.#words.leftOut(percent(share));
    this.#stage.onshare = () => this.#listeners.emit("left_out", this.stats);
    this.#stage.set(look);
    this.#ends.push(() => this.#stage.destroy(), () => this.#place.destroy());
    if (menu) this.#menu(sky);
    if (log) this.#log = this.#ending(new Log(this.#root));
    if (video && options.follow !== false) this.#ends.push(follow(video, (rate) => this.#stage.turn(rate)));
    this.#listen();
  }

  get stats() {
    return { ...this.#stage.stats, filtered: this.#filtered };
  }

  /** @param {Partial<Look> & {filters?: import("./types.js").Filters}} change */
  set({ filters, ...look }) {
    looked(look);
    if (filters) {
      blocks(filters);
      this.#filters = filters;
      this.#filter();
    }
    this.#stage.set(look);
  }

  /** @param {string} uid */
  hide(uid) {
    this.#hidden.add(uid);
    this.#filter();
    this.#listeners.emit("hide", { uid });
  }

  /** @param {string} uid */
  unhide(uid) {
    this.#hidden.delete(uid);
    const { users = [] } = this.#filters;
    this.#filters = { ...this.#filters, users: users.filter((user) => user !== uid) };
    this.#filter();
  }

  fullscreen() {
    return this.#place.fullscreen();
  }

  /**
   * @param {keyof StageEvents} name
   * @param {(event: any) => void} listener
   */
  on(name, listener) {
    return this.#listeners.on(name, listener);
  }

  destroy() {
    clearTimeout(this.#toldTimer);
    for (const end of this.#ends.reverse()) end();
  }

  /**
   * @template {{destroy(): void}} Part
   * @param {Part} part
   */
  #ending(part) {
    this.#ends.push(() => part.destroy());
    return part;
  }

  /** What is filtered from now on flies no more, either. */
  #filter() {
    const users = [...(this.#filters.users ?? []), ...this.#hidden];
    this.#blocks = blocks({ ...this.#filters, users });
    this.#stage?.removeIf((message) => !this.#client.isOwn(message.uid) && this.#blocks(message));
  }

  #listen() {
    const client = this.#client;
    this.#role = client.me?.role ?? this.#role;
    const on = (/** @type {any} */ name, /** @type {(event: any) => void} */ listener) =>
      void this.#ends.push(client.on(name, listener));
    const here = (/** @type {any} */ name, /** @type {(event: any) => void} */ listener) =>
      on(name, (event) => event.room === this.#room && listener(event));
    for (const name of ["welcome", "authed"]) on(name, ({ role }) => (this.#role = role));
    here("joined", ({ role }) => (this.#roleHere = role));
    here("messages", ({ messages, history }) => {
      const fresh = history ? messages.filter((/** @type {Message} */ { ts }) => Math.abs(Date.now() - ts) < FRESH_MS) : messages;
      for (const message of fresh) this.#offer(message);
    });
    for (const name of ["delete", "clear"]) here(name, (event) => this.#stage.remove(event));
    here("shed", ({ count }) => this.#stage.missed(count));
    here("gap", ({ anew }) => anew && this.#stage.renumber());
    on("notice", (event) => this.#offer({ ...event, uid: "", kind: "notice", mode: "top", size: 25 }));
  }

  /** @param {Message} message */
  #offer(message) {
    const own = this.#client.isOwn(message.uid);
    if (!own && this.#blocks(message)) {
      this.#filtered += 1;
      return;
    }
    this.#log?.offer(lineOf(message, own));
    this.#stage.offer(message, own);
  }

  // -- what may be done about a line

  /** @param {HTMLElement} sky */
  #menu(sky) {
    const keys = document.createElement("button");
    keys.type = "button";
    keys.className = "keys";
    keys.textContent = this.#words.lines;
    this.#root.prepend(keys);
    const element = document.createElement("div");
    element.className = "menu";
    this.#root.append(element);
    const menu = this.#ending(new Menu(element, this.#place.host));
    const about = (/** @type {Message} */ message) =>
      ({ subject: this.#words.menu(message.name), items: this.#items(message) });
    const { fliers } = this.#stage;
    this.#ending(new Hands({ sky, fliers, menu, about, keys, say: (text) => this.#tell(text) }));
  }

  /** @param {Message} message */
  #items(message) {
    const viewer = { own: this.#client.isOwn(message.uid), role: this.#roleHere ?? this.#role, words: this.#words };
    const items = actionsFor(message, viewer).map((action) => ({
      label: action.label,
      run: () => this.#act(action, message),
    }));
    const { menu } = this.#options;
    return typeof menu === "function" ? [...items, ...menu(message)] : items;
  }

  /**
   * @param {Action} action
   * @param {Message} message
   */
  async #act({ told, command, local }, message) {
    try {
      if (local === "hide") this.hide(message.uid);
      else if (local === "copy") await this.#copy(message.text);
      else await this.#client.ask(/** @type {any} */ ({ ...command, room: this.#room }));
      this.#tell(told);
    } catch (error) {
      const { code = "failed", message: why = this.#words.failed, retry_after } = /** @type {any} */ (error);
      this.#listeners.emit("error", { code, message: why, retry_after });
      this.#tell(why);
    }
  }

  /** Where a page is not secure there is no clipboard but what is selected. @param {string} text */
  async #copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = document.createElement("textarea");
    field.className = "unseen";
    field.value = text;
    this.#root.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    if (!copied) throw new Error(this.#words.failed);
  }

  /** @param {string} text */
  #tell(text) {
    clearTimeout(this.#toldTimer);
    this.#told.textContent = text;
    this.#toldTimer = setTimeout(() => (this.#told.textContent = ""), TOLD_MS);
  }
}
