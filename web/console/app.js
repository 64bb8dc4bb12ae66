/* The console: the key, the sections, and the stream that keeps them up to date.
 *
 * Rule: wiring only. The address bar has the section in its hash (#rooms/live%3A42), never the key.
 * A view is {element, heard: {event: listener}, again?, close?}: `again` is called when the stream is
 * back, because something may have been done meanwhile.
 */

import { Api, Away, Refused, isKey } from "./api.js";
import { broadcast } from "./broadcast.js";
import { h, say } from "./dom.js";
import { Evening } from "./evening.js";
import { Toasts, button, field, form, input } from "./forms.js";
import { Live } from "./live.js";
import { moderation } from "./moderation.js";
import { overview } from "./overview.js";
import { worded } from "./refusals.js";
import { room } from "./room.js";
import { rooms } from "./rooms.js";
import { LANGUAGES, knows, languageNow, speak, t } from "./texts.js";
import { user, users } from "./users.js";
import { watch } from "./watch.js";

/* What has no link of its own in the bar, and in whose part it is. */
const WITHIN = { watch: "rooms" };
const SECTIONS = ["overview", "rooms", "users", "moderation", "broadcast"];

const api = new Api(location);
let evening = new Evening();
const app = document.getElementById("app");
const toasts = new Toasts(document.getElementById("told"), document.getElementById("failed"));

let scopes = [];
let keyName = "";
let view = null;
let live = null;
let shell = null;
let ended = "";

const context = {
  api,
  get evening() {
    return evening;
  },
  toasts,
  may: (scope) => scopes.includes(scope),
  /** Do something and say that it is done. Throws what the server refuses. */
  async act(work, told) {
    toasts.told(told(await work()));
  },
};

// -- the key

async function begin() {
  leave();
  try {
    ({ key: keyName, scopes } = await api.get("key"));
  } catch (error) {
    return gate(api.key || !(error instanceof Refused && error.status === 401) ? error : null);
  }
  return enter();
}

function gate(error) {
  leave();
  if (error?.status === 401) api.keep("");
  const hidden = error instanceof Refused && error.status === 404;
  const box = form({
    label: t("key_title"), button: t("key_open"), toasts,
    rows: [field(t("key_label"), input("key", { type: "password", autocomplete: "off" }), t("key_hint"))],
    async submit({ key }) {
      const given = key.trim();
      if (!isKey(given)) throw new Refused(0, { problems: [{ path: "key", message: t("key_form") }] });
      api.keep(given);
      await begin();
    },
  });
  document.title = t("title");
  document.documentElement.lang = languageNow();
  app.replaceChildren(h("main", { class: "gate" },
    h("h1", {}, t("title")),
    hidden ? h("p", { class: "note" }, t("key_hidden")) : box,
    error && !hidden && h("p", { class: "gate-problem", role: "alert" }, error.status === 401 ? t("error.unauthorized") : worded(error)),
    error instanceof Away && button(t("reload"), begin),
    languageButton(begin)));
  box.elements.key?.focus();
}

function forget() {
  api.keep("");
  begin();
}

// -- the shell

function enter() {
  const state = h("span", {}, t("connecting"));
  const pill = h("div", { class: "connection", "data-state": "connecting", role: "status" },
    h("span", { class: "connection-dot", "aria-hidden": "true" }), state);
  const links = SECTIONS.map((one) => h("a", { href: `#${one}`, "data-section": one }, t(one)));
  const bus = h("p", { class: "bus-away", role: "alert", hidden: true }, t("bus_away"));
  const main = h("main", { class: "main", id: "main", tabindex: "-1" });
  const key = h("span", { class: "key" }, keyText());
  shell = { state, pill, links, bus, main, key };
  document.documentElement.lang = languageNow();
  app.replaceChildren(
    h("a", { class: "skip", href: "#main", on: { click: (event) => {
      event.preventDefault();
      main.focus();
    } } }, t("skip")),
    h("header", { class: "bar" },
      h("span", { class: "brand" }, h("img", { src: "web/icon.svg", alt: "", width: 28, height: 28 }),
        h("span", { class: "brand-name" }, "Danmaku")),
      pill,
      key,
      languageButton(() => {
        enter();
        follow();
      }),
      api.key && button(t("key_forget"), forget)),
    h("nav", { class: "sections", "aria-label": t("sections") }, links),
    bus, main);
  show();
  follow();
}

const keyText = () => t("key_of", { key: keyName, scopes: scopes.join(", ") || "–" });

function languageButton(then) {
  const other = LANGUAGES.find((one) => one !== languageNow());
  return button(t("language"), () => {
    speak(other);
    then();
  }, { lang: other });
}

function leave() {
  view?.close?.();
  live?.close();
  view = live = null;
  evening = new Evening();
}

// -- the sections

function show() {
  const [section, ...rest] = location.hash.slice(1).split("/");
  const name = decode(rest.join("/"));
  const known = SECTIONS.includes(section) || Object.hasOwn(WITHIN, section) ? section : "overview";
  view?.close?.();
  view = made(known, name);
  for (const link of shell.links) {
    if (link.dataset.section === (WITHIN[known] ?? known)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shell.main.replaceChildren(view.element);
  document.title = `${name || t(known)} – ${t("title")}`;
  window.scrollTo(0, 0);
}

function made(section, name) {
  switch (section) {
    case "rooms": return name ? room(context, name) : rooms(context);
    case "watch": return watch(context, name);
    case "users": return name ? user(context, name) : users(context);
    case "moderation": return moderation(context, name || undefined);
    case "broadcast": return broadcast(context);
    default: return overview(context);
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// -- the stream

function follow() {
  live?.close();
  live = new Live(api, "live", { heard, changed });
}

function heard(name, data) {
  if (name === "hello") return begun(data);
  if (name === "end") ended = data.reason;
  evening.hear(name, data, performance.now());
  if (name === "nodes") shell.bus.hidden = data.bus;
  view?.heard[name]?.(data);
}

/** A stream begins: figures, too, and what may be done is what may be done now. */
function begun({ scopes: now }) {
  evening.forget();
  ended = "";
  if (String(now) === String(scopes)) return view?.again?.();
  scopes = now;
  say(shell.key, keyText());
  return show();
}

function changed({ state, error }) {
  if (state === "refused" && error.status === 401) return gate(error);
  shell.pill.dataset.state = { open: "open", refused: "closed" }[state] ?? "connecting";
  say(shell.state, stateText(state, error));
}

/** A state, and why it is that. */
function stateText(state, error) {
  if (error instanceof Refused) return `${t(state)}: ${worded(error)}`;
  return state !== "open" && knows(`ended.${ended}`) ? t(`ended.${ended}`) : t(state);
}

// A failure that had no place of its own.
window.addEventListener("unhandledrejection", ({ reason }) => toasts.failed(reason));

window.addEventListener("hashchange", () => {
  if (live) show();
});

begin();
