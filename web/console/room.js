/* One room: its lines as they come, and everything that may be done there. */

import { path } from "./api.js";
import { h } from "./dom.js";
import { area, button, choice, failed, field, form, input, lines, sure, withScope } from "./forms.js";
import { Lines, figure } from "./lines.js";
import { Live } from "./live.js";
import { listOf } from "./lists.js";
import { worded } from "./refusals.js";
import { actOn } from "./sanctions.js";
import { told } from "./series.js";
import { named, t } from "./texts.js";
import { wordsPanel } from "./wordlists.js";

const ROLES = ["guest", "user", "vip", "moderator"];
const SILENCE = ["none", "all", "user", "vip", "moderator", "owner", "admin"];
const NUMBERS = ["slow_s", "no_repeats_s", "messages_per_s", "shown_per_s"];
const CHECKS = ["merge_duplicates", "join_notices"];

export function room(context, name) {
  const { api, may, act, toasts } = context;
  const at = path("rooms", name);
  const figures = { online: figure(t("online")), peak: figure(t("peak")), unique: figure(t("unique")), likes: figure(t("likes")) };
  const moderates = may("moderate");
  const list = new Lines(acting(context, name));
  const rules = may("read") ? rulesPanel(context, name) : null;
  const state = h("span", { class: "note", role: "status" });
  const live = may("read") && new Live(api, `${at}/live`, {
    heard(event, data) {
      if (event === "lines") {
        list.tell(data);
        if (data.anew || data.lines.some((line) => line.t === "state")) rules.changed();
      } else if (event === "room") showRoom(figures, data);
    },
    changed: ({ state: now, error }) => {
      state.textContent = now === "open" ? "" : `${t(now)}${error ? `: ${worded(error)}` : ""}`;
    },
  });

  const clear = async () => {
    if (!(await sure(t("clear_sure", { room: name }), t("clear")))) return;
    await act(() => api.call("DELETE", `${at}/messages`), () => t("cleared_done"));
  };
  const element = h("div", { class: "view" },
    h("p", { class: "crumb" }, h("a", { href: "#rooms" }, `← ${t("rooms")}`)),
    h("h1", { dir: "auto" }, name, " ", state),
    h("dl", { class: "figures" }, Object.values(figures).map((one) => one.element)),
    withScope(may, "read", () => h("div", { class: "halves" },
      h("div", {},
        h("section", { class: "panel" }, h("h2", {}, t("lines")), list.element,
          moderates && h("div", { class: "buttons" }, button(t("clear"), clear, { class: "danger" }))),
        h("section", { class: "panel" }, h("h2", {}, t("say_title")),
          withScope(may, "publish", () => sayForm(context, at)))),
      h("div", {},
        h("section", { class: "panel" }, h("h2", {}, t("rules")), rules.element),
        h("section", { class: "panel" }, h("h2", {}, t("sanctions")),
          withScope(may, "moderate", () => ["mutes", "bans"].map((kind) =>
            fold(t(kind), () => listOf(context, kind, name).element)))),
        h("section", { class: "panel" }, h("h2", {}, t("words")),
          withScope(may, "moderate", () => fold(t("words"), () => wordsPanel(context, name))))))));
  return { element, heard: {}, close: () => live && live.close(), toasts };
}

/** What may be done at a room's lines. */
export function acting(context, room) {
  const { act, api, may } = context;
  if (!may("moderate")) return { pick: null, remove: null };
  return {
    pick: ({ uid, name, seq }) => actOn(context, { uid, name, room, seq }),
    remove: ({ seq }) =>
      act(() => api.call("DELETE", `${path("rooms", room)}/messages/${seq}`), () => t("removed_done")),
  };
}

function showRoom(figures, { online, peak, unique, likes }) {
  figures.online.tell(told(online));
  figures.peak.tell(told(peak));
  figures.unique.tell(told(unique));
  figures.likes.tell(told(Object.values(likes).reduce((sum, one) => sum + one, 0)));
}

/** A part that is made when it is opened. */
function fold(title, make) {
  const made = h("details", { class: "fold" }, h("summary", {}, title));
  made.addEventListener("toggle", () => {
    if (made.open && made.children.length === 1) made.append(make());
  });
  return made;
}

export const KINDS = ["", "system", "gift", "superchat"];
export const kindField = () =>
  field(t("kind"), choice("kind", KINDS.map((kind) => [kind, t(`kind.${kind}`)])));

function sayForm({ api, toasts }, at) {
  const made = form({
    label: t("say_title"), button: t("send"), toasts,
    rows: [field(t("text"), input("text")), field(t("name"), input("name", { value: "system", maxlength: 32 })), kindField()],
    async submit({ text, name, kind }) {
      await api.call("POST", `${at}/messages`, { text, name, ...(kind ? { kind } : {}) });
      made.elements.text.value = "";
      return t("sent");
    },
  });
  return made;
}

// -- the rules

function rulesPanel(context, name) {
  const { api, may } = context;
  const at = `${path("rooms", name)}/settings`;
  const box = h("div", {}, h("p", { class: "note" }, "…"));
  const stale = h("p", { class: "stale", role: "status", hidden: true },
    `${t("unsaved_elsewhere")} `, button(t("reload"), () => load()));
  let known; // the rules as they were loaded, or saved here
  let touched = false;

  async function load() {
    try {
      known = await api.get(at);
      touched = false;
      stale.hidden = true;
      box.replaceChildren(stale, pinned(known), may("moderate") ? edit() : view(known));
    } catch (error) {
      box.replaceChildren(...failed(error, () => load()));
    }
  }

  function pinned({ pinned: message }) {
    if (!message) return "";
    const unpin = () => context.act(() => api.call("PATCH", at, { pinned: null }), () => t("unpinned"));
    return h("p", { class: "pinned" }, h("span", { dir: "auto" }, `${message.name}: ${message.text}`), " ",
      may("moderate") && button(t("unpin"), unpin));
  }

  function edit() {
    const made = form({
      label: t("rules"), button: t("save"), toasts: context.toasts, rows: ruleRows(known),
      async submit(given) {
        const change = changes(known, given);
        if (Object.keys(change).length) known = await api.call("PATCH", at, change);
        touched = false;
        return t("saved");
      },
    });
    made.addEventListener("input", () => (touched = true));
    return made;
  }

  load();
  return {
    element: box,
    /** The rules may be others now: by this form, or by somebody, of whom nothing is lost here. */
    async changed() {
      if (!known) return;
      const now = await api.get(at).catch(() => known);
      if (JSON.stringify(now) === JSON.stringify(known)) return;
      if (touched) stale.hidden = false;
      else load();
    },
  };
}

function ruleRows(settings) {
  const number = (key) => field(t(key), input(key, { type: "number", min: 0, value: settings[key] }));
  const check = (key) => field(t(key), h("input", { type: "checkbox", name: key, checked: settings[key] }));
  const silence = SILENCE.map((one) => [one, silenceText(one)]);
  return [
    field(t("announcement"), area("announcement", { rows: 2, maxlength: 500 })), number("slow_s"),
    field(t("silence"), choice("silence", silence, settings.silence)), number("no_repeats_s"),
    field(t("min_role"), choice("min_role", ROLES.map((role) => [role, t(`role.${role}`)]), settings.min_role)),
    number("messages_per_s"), number("shown_per_s"), CHECKS.map(check),
    field(t("owners"), area("owners", { rows: 2 })),
  ].map((row) => fill(row, settings));
}

const silenceText = (one) =>
  (one === "none" || one === "all" ? t(`silence_${one}`) : t("silence_below", { role: named("role", one) }));

function fill(row, settings) {
  if (Array.isArray(row)) return row;
  const control = row.querySelector("textarea");
  if (control) control.value = textOf(settings[control.name]);
  return row;
}

const textOf = (value) => (Array.isArray(value) ? value.join("\n") : value ?? "");

/** What of the rules was changed in the form, as PATCH takes it. */
export function changes(settings, given) {
  const wanted = {
    announcement: given.announcement.trim() || null,
    silence: given.silence,
    min_role: given.min_role,
    owners: lines(given.owners),
  };
  for (const key of NUMBERS) wanted[key] = given[key] === "" ? 0 : Number(given[key]);
  for (const key of CHECKS) wanted[key] = given[key];
  const same = (key) => JSON.stringify(wanted[key]) === JSON.stringify(settings[key]);
  return Object.fromEntries(Object.entries(wanted).filter(([key]) => !same(key)));
}

function view(settings) {
  const shown = ["announcement", "silence", "min_role", ...NUMBERS];
  const worn = { silence: silenceText(settings.silence), min_role: named("role", settings.min_role) };
  return h("dl", { class: "facts" }, shown.map((key) =>
    h("div", {}, h("dt", {}, t(key)), h("dd", {}, String(worn[key] ?? settings[key] ?? "–")))));
}
