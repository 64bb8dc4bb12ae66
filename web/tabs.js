/* The rooms one is in, as tabs over the chat; with one room there is one.
 *
 * Rule: it shows and tells, it enters and leaves nothing. Roles and keys are those of the ARIA tabs
 * pattern: arrows, Home and End go from tab to tab, Delete closes.
 */

import { number, sayAs, say, unsay } from "./i18n.js";

const MOST = 99;

export class Tabs {
  #list;
  #close;
  #panel;
  #on;
  #tabs = new Map(); // room -> element
  #here = "";

  /** `on`: choose(room), close(room). */
  constructor({ list, close, panel, on }) {
    this.#list = list;
    this.#close = close;
    this.#panel = panel;
    this.#on = on;
    sayAs("aria-label", list, "rooms");
    close.addEventListener("click", () => on.close(this.#here));
    list.addEventListener("click", ({ target }) => {
      const tab = target.closest("[role=tab]");
      if (tab) on.choose(tab.dataset.room);
    });
    list.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show rooms, in order, one of them being seen. */
  show(rooms, here) {
    const focused = this.#list.contains(document.activeElement);
    const tabs = rooms.map((room) => [room, this.#tabs.get(room) ?? tabOf(room)]);
    this.#tabs = new Map(tabs);
    this.#here = here;
    for (const [room, tab] of tabs) {
      tab.setAttribute("aria-selected", room === here);
      tab.tabIndex = room === here ? 0 : -1;
    }
    this.#list.replaceChildren(...this.#tabs.values());
    const tab = this.#tabs.get(here);
    this.#panel.setAttribute("aria-labelledby", tab.id);
    this.#close.hidden = rooms.length < 2;
    sayAs("aria-label", this.#close, "rooms.close", { room: here });
    sayAs("title", this.#close, "rooms.close", { room: here });
    tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (focused) tab.focus();
  }

  /** How much was said in a room that is not seen. */
  count(room, unread) {
    const [, count] = this.#tabs.get(room)?.children ?? [];
    if (!count) return undefined;
    count.hidden = unread === 0;
    const [shown, read] = count.children;
    if (!unread) return [shown, read].forEach((part) => unsay(part));
    unsay(shown, unread > MOST ? `${number(MOST)}+` : number(unread));
    return say(read, "rooms.unread", { count: unread });
  }

  #key(event) {
    const rooms = [...this.#tabs.keys()];
    const at = rooms.indexOf(this.#here);
    const steps = {
      ArrowRight: (at + 1) % rooms.length,
      ArrowLeft: (at - 1 + rooms.length) % rooms.length,
      Home: 0,
      End: rooms.length - 1,
    };
    if (event.key in steps) this.#on.choose(rooms[steps[event.key]]);
    else if (event.key === "Delete" && rooms.length > 1) this.#on.close(this.#here);
    else return;
    event.preventDefault();
  }
}

let made = 0;

function tabOf(room) {
  const tab = element("button", "tab");
  made += 1;
  tab.type = "button";
  tab.id = `tab-${made}`;
  tab.dataset.room = room;
  tab.title = `#${room}`;
  tab.setAttribute("role", "tab");
  tab.setAttribute("aria-controls", "panel");
  const name = element("span", "tab-name");
  name.dir = "auto";
  name.textContent = room;
  const count = element("span", "tab-count");
  const shown = element("span");
  shown.setAttribute("aria-hidden", "true");
  count.append(shown, element("span", "unseen"));
  count.hidden = true;
  tab.append(name, count);
  return tab;
}

function element(tag, className = "") {
  return Object.assign(document.createElement(tag), { className });
}
